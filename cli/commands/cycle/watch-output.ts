/** What a watcher sees: bars that move on a terminal, a line per news elsewhere, JSON lines for programs. */
import type { ChangeDetail, OrderSummary, RingState } from '../../client/types.js';
import type { ExitCode } from '../../exit-codes.js';
import { plain } from '../../output/plain.js';
import type { Screen } from '../../output/screen.js';
import { lengthOf } from '../../output/table.js';
import { stateOf } from './look.js';

export interface Reporter {
  progress(change: ChangeDetail): void;
  failure(order: OrderSummary): void;
  /** The server is away; looking goes on. */
  away(why: string): void;
  end(how: string, code: ExitCode): void;
  /** Puts the terminal back as it was. */
  close(): void;
}

export function jsonReporter(screen: Screen): Reporter {
  let last = '';
  return {
    progress: (change) => {
      const { id, stage, outcome, waitingFor, halted, closedAt } = change;
      const rings = change.rings.map(({ ordinal, name, state, halted, endpoints, counts }) => {
        const { byState: _, ...numbers } = counts.change as typeof counts.change & { byState?: unknown };
        return { ordinal, name, state, halted, endpoints, ...numbers };
      });
      const event = { type: 'progress', id, stage, outcome, waitingFor, halted, closedAt, rings };
      const text = JSON.stringify(event);
      if (text !== last) screen.value({ at: new Date().toISOString(), ...event });
      last = text;
    },
    failure: ({ id, ring, endpointId, endpointName, state, reason }) =>
      screen.value({
        at: new Date().toISOString(),
        type: 'failure',
        orderId: id,
        ring,
        endpointId,
        endpointName,
        state,
        reason,
      }),
    away: (why) => screen.value({ at: new Date().toISOString(), type: 'away', why }),
    end: (how, code) => screen.value({ at: new Date().toISOString(), type: 'end', how, code }),
    close: () => {},
  };
}

export function lineReporter(screen: Screen): Reporter {
  const last = new Map<string, string>();
  const news = (key: string, text: string): void => {
    if (last.get(key) === text) return;
    last.set(key, text);
    screen.line(`${screen.zone.named(Date.now())}  ${plain(text)}`);
  };
  return {
    progress: (change) => {
      news('state', `${stateOf(change)}${change.waitingFor === null ? '' : `: ${change.waitingFor}`}`);
      for (const ring of change.rings) if (ring.endpoints > 0) news(`ring ${ring.ordinal}`, ringLine(ring));
    },
    failure: (order) => news(`order ${order.id}`, failureLine(order)),
    away: (why) => news('away', `${why}; still trying`),
    end: (how) => screen.line(plain(`Ended: ${how}.`)),
    close: () => {},
  };
}

const BAR = 24;

export function screenReporter(screen: Screen): Reporter {
  const width = screen.width ?? 80;
  let drawn = 0;
  const hide = screen.colour ? '\u001b[?25l' : '';
  const write = (text: string) => void process.stdout.write(text);
  const erase = () => (drawn === 0 ? '' : `\u001b[${drawn}A\u001b[J`);
  const clip = (text: string): string => {
    const safe = plain(text);
    return lengthOf(safe) < width ? safe : `${[...safe].slice(0, width - 2).join('')}…`;
  };
  let frame: readonly string[] = [];
  const draw = (above: readonly string[] = []) => {
    write(`${hide}${erase()}${[...above, ...frame].map((line) => `${line}\n`).join('')}`);
    drawn = frame.length;
  };
  return {
    progress: (change) => {
      frame = [
        clip(`${change.name}: ${stateOf(change)}`),
        ...change.rings.filter((ring) => ring.endpoints > 0).map((ring) => clip(`${bar(ring)} ${ringLine(ring)}`)),
        clip(change.waitingFor === null ? '' : `waits for: ${change.waitingFor}`),
      ];
      draw();
    },
    failure: (order) => draw([clip(failureLine(order))]),
    away: (why) => draw([clip(`${why}; still trying`)]),
    end: (how) => draw([]) ?? write(`${plain(`Ended: ${how}.`)}\n`),
    close: () => write(hide === '' ? '' : '\u001b[?25h'),
  };
}

/** Done, failed and under way as parts of a bar. */
function bar(ring: RingState): string {
  const { succeeded, failed, none, inFlight } = ring.counts.change;
  const of = Math.max(ring.endpoints, succeeded + failed + none + inFlight, 1);
  const cells = (n: number) => Math.round((n * BAR) / of);
  const text =
    '#'.repeat(cells(succeeded)) + '!'.repeat(cells(failed)) + '-'.repeat(cells(none)) + '>'.repeat(cells(inFlight));
  return `[${text.slice(0, BAR).padEnd(BAR, '.')}]`;
}

function ringLine(ring: RingState): string {
  const { succeeded, failed, inFlight, pending, none } = ring.counts.change;
  const counts = [
    `${succeeded} of ${ring.endpoints} done`,
    ...(inFlight > 0 ? [`${inFlight} under way`] : []),
    ...(pending > 0 ? [`${pending} waiting`] : []),
    ...(failed > 0 ? [`${failed} failed`] : []),
    ...(none > 0 ? [`${none} left out`] : []),
  ];
  const halt = ring.halted ? `, halted: ${ring.haltReason ?? 'no reason given'}` : '';
  return `${ring.name} (${ring.state}${halt}): ${counts.join(', ')}`;
}

const failureLine = (order: OrderSummary): string =>
  `FAILED ${order.endpointName} (ring ${order.ring}): ${order.state}${order.reason === null ? '' : `, ${order.reason}`}`;
