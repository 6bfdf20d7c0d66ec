/** Following a cycle. Watching only looks: Ctrl-C ends the look, never the cycle. */
import type { ApiClient } from '../../client/http-client.js';
import type { ChangeDetail, OrderSummary } from '../../client/types.js';
import { CliError, EXIT, type ExitCode } from '../../exit-codes.js';
import { type ApiContext, type ApiOptions, openApi } from '../api-command.js';
import { findChange } from '../find.js';
import { openWaker, type Waker } from './waker.js';
import { jsonReporter, lineReporter, type Reporter, screenReporter } from './watch-output.js';

/** Between two looks at most, milliseconds; an event of the server comes first. */
const PERIOD_MS = 1_000;
/** Between two looks at least. */
const CALM_MS = 200;
/** A server that is away for longer than this ends the watching. */
const PATIENCE_MS = 60_000;
/** Of orders, as the budgets count. */
export const FAILED_STATES = ['failed', 'reverted', 'revertFailed', 'stalled'];
const RING_DONE = new Set(['passed', 'rolledBack', 'failed', 'aborted']);
const SUCCESS = new Set(['completed', 'nothingToDo']);

export async function watch(wanted: string, options: ApiOptions & { until?: string; timeout?: string }): Promise<void> {
  const until = options.until === undefined ? undefined : ringOf(options.until);
  const timeoutMs = options.timeout === undefined ? undefined : spanOf(options.timeout);
  const context = await openApi(options);
  const changeId = await findChange(context.client, wanted);
  await follow(context, { changeId, until, timeoutMs });
}

/** Follows until the change has closed, the ring is done, the time is up or somebody presses Ctrl-C; sets the exit code. */
export async function follow(
  { client, screen }: ApiContext,
  args: { readonly changeId: string; readonly until?: number | undefined; readonly timeoutMs?: number | undefined },
): Promise<void> {
  const reporter = screen.json
    ? jsonReporter(screen)
    : screen.width === null
      ? lineReporter(screen)
      : screenReporter(screen);
  const ends = args.timeoutMs === undefined ? Number.POSITIVE_INFINITY : performance.now() + args.timeoutMs;
  const interrupt = listenForInterrupt();
  const waker = openWaker(client, `/v1/changes/${args.changeId}/events`);
  try {
    process.exitCode = await look({ client, reporter, interrupt: interrupt.pressed, waker, ends, ...args });
  } finally {
    waker.close();
    interrupt.stop();
    reporter.close();
  }
}

interface Look {
  readonly client: ApiClient;
  readonly reporter: Reporter;
  readonly interrupt: Promise<'interrupted'>;
  readonly waker: Waker;
  readonly ends: number;
  readonly changeId: string;
  readonly until?: number | undefined;
}

async function look(args: Look): Promise<ExitCode> {
  const { client, reporter, changeId, until } = args;
  const told = new Set<string>();
  let lastSeen = performance.now();
  for (;;) {
    const seen = await Promise.race([lookOnce(client, changeId, told), args.interrupt]).catch((error: unknown) => {
      const away = error instanceof CliError && (error.code === EXIT.unreachable || error.code === EXIT.timedOut);
      if (!away || performance.now() - lastSeen > PATIENCE_MS) throw error;
      reporter.away(error.message);
      return null;
    });
    if (seen === 'interrupted') {
      reporter.end('stopped watching; the cycle goes on', EXIT.interrupted);
      return EXIT.interrupted;
    }
    if (seen !== null) {
      lastSeen = performance.now();
      for (const order of seen.failures) reporter.failure(order);
      reporter.progress(seen.change);
      const code = ended(seen.change, until);
      if (code !== null) {
        reporter.end(seen.change.outcome ?? `ring ${until} is done`, code);
        return code;
      }
    }
    const left = args.ends - performance.now();
    if (left <= 0) {
      reporter.end('time is up; the cycle goes on', EXIT.timedOut);
      return EXIT.timedOut;
    }
    const event = args.waker.next();
    await Promise.race([pause(Math.min(CALM_MS, left)), args.interrupt]);
    await Promise.race([pause(Math.min(PERIOD_MS - CALM_MS, left)), event, args.interrupt]);
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)));

interface Seen {
  readonly change: ChangeDetail;
  /** Not told before. */
  readonly failures: readonly OrderSummary[];
}

async function lookOnce(client: ApiClient, changeId: string, told: Set<string>): Promise<Seen> {
  const change = await client.get<ChangeDetail>(`/v1/changes/${changeId}`);
  const failed = change.rings.reduce((sum, ring) => sum + ring.counts.change.failed, 0);
  const failures: OrderSummary[] = [];
  if (failed <= told.size) return { change, failures };
  for (const state of FAILED_STATES) {
    for await (const order of client.pages<OrderSummary>(`/v1/changes/${changeId}/orders`, { state })) {
      if (order.kind !== 'change' || told.has(order.id)) continue;
      told.add(order.id);
      failures.push(order);
    }
  }
  return { change, failures };
}

function ended(change: ChangeDetail, until: number | undefined): ExitCode | null {
  if (until !== undefined) {
    const ring = change.rings.find(({ ordinal }) => ordinal === until);
    if (ring !== undefined && RING_DONE.has(ring.state)) return ring.state === 'passed' ? EXIT.ok : EXIT.failed;
    if (change.closedAt !== null) return ring?.state === 'passed' ? EXIT.ok : EXIT.failed;
    return null;
  }
  if (change.closedAt === null) return null;
  return change.outcome !== null && SUCCESS.has(change.outcome) ? EXIT.ok : EXIT.failed;
}

function listenForInterrupt(): { pressed: Promise<'interrupted'>; stop: () => void } {
  let onSignal = () => {};
  const pressed = new Promise<'interrupted'>((resolve) => {
    onSignal = () => resolve('interrupted');
  });
  process.once('SIGINT', onSignal);
  process.once('SIGTERM', onSignal);
  return {
    pressed,
    stop: () => {
      process.removeListener('SIGINT', onSignal);
      process.removeListener('SIGTERM', onSignal);
    },
  };
}

function ringOf(text: string): number {
  const found = /^ring=(\d{1,4})$/.exec(text);
  if (found === null) throw new CliError(EXIT.usage, '--until: must be ring=n');
  return Number(found[1]);
}

const UNITS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

function spanOf(text: string): number {
  const found = /^(\d{1,6})([smhd])$/.exec(text);
  if (found === null) throw new CliError(EXIT.usage, '--timeout: must be a span such as 90s, 30m, 12h');
  return Number(found[1]) * (UNITS[found[2] ?? ''] ?? 0);
}
