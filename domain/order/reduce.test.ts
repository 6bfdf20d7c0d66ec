import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { MINUTE } from '../time.js';
import type { AgentEvent, OrderEvent, OrderEventType, ServerEvent } from './events.js';
import type { OrderCore } from './reduce.js';
import { newOrder, offeredOrder, phaseOf, reduceOrder } from './reduce.js';
import type { OrderKind, OrderState } from './states.js';
import { BEFORE_APPLY, budgetClass, isMutating, isSettled, ORDER_KINDS, ORDER_STATES, STATE_TRAITS } from './states.js';
import { findTransition, SILENCE_MINUTES, statesAllowing, TRANSITIONS } from './transitions.js';

const T0 = Date.UTC(2026, 0, 10);

const SERVER: Readonly<Record<ServerEvent['type'], ServerEvent>> = {
  release: { type: 'release' },
  recall: { type: 'recall' },
  offer: { type: 'offer' },
  permit: { type: 'permit', until: T0 + MINUTE },
  permitLapsed: { type: 'permitLapsed', heardAt: T0 + 2 * MINUTE },
  withdraw: { type: 'withdraw' },
  supersede: { type: 'supersede' },
  skip: { type: 'skip', reason: 'r' },
  gateFailed: { type: 'gateFailed', reason: 'r' },
  expire: { type: 'expire' },
  silence: { type: 'silence' },
  abandon: { type: 'abandon', reason: 'r' },
};

type Said<T> = T extends unknown ? Omit<T, 'seq' | 'at'> : never;
const AGENT: Readonly<Record<AgentEvent['type'], Said<AgentEvent>>> = {
  accept: { type: 'accept' },
  refuse: { type: 'refuse', reason: 'r' },
  decline: { type: 'decline', reason: 'r' },
  satisfied: { type: 'satisfied' },
  moot: { type: 'moot', reason: 'r' },
  staged: { type: 'staged' },
  scanned: { type: 'scanned' },
  apply: { type: 'apply' },
  applied: { type: 'applied', rebootRequired: false },
  reboot: { type: 'reboot' },
  notRebooted: { type: 'notRebooted', reason: 'r' },
  booted: { type: 'booted' },
  healthy: { type: 'healthy' },
  revertBegun: { type: 'revertBegun', cause: 'c' },
  notBegun: { type: 'notBegun', reason: 'r' },
  failed: { type: 'failed', cause: 'c' },
  reverted: { type: 'reverted' },
  revertFailed: { type: 'revertFailed', cause: 'c' },
  note: { type: 'note', text: 't' },
};

const ALL_EVENTS = [...Object.keys(SERVER), ...Object.keys(AGENT)] as OrderEventType[];

function event(type: OrderEventType, seq = 1, at = T0): OrderEvent {
  return type in SERVER
    ? SERVER[type as ServerEvent['type']]
    : ({ ...AGENT[type as AgentEvent['type']], seq, at } as AgentEvent);
}

const order = (kind: OrderKind, state: OrderState, some: Partial<OrderCore> = {}): OrderCore => ({
  ...newOrder(kind),
  state,
  ...some,
});

const EVERYTHING = ORDER_KINDS.flatMap((kind) =>
  ORDER_STATES.flatMap((state) => ALL_EVENTS.map((type) => [kind, state, type] as const)),
);

describe('the table', () => {
  it('decides every event in every state of every kind, and nothing else does', () => {
    for (const [kind, state, type] of EVERYTHING) {
      const row = findTransition({ event: type, kind, state });
      // Without a permit to lapse that event does nothing.
      const result = reduceOrder(order(kind, state, { permitUntil: type === 'permitLapsed' ? T0 : null }), event(type));
      if (row === undefined) expect({ kind, state, type, result }).toMatchObject({ result: { kind: 'refused' } });
      else if (result.kind === 'moved') expect(result.order.state).toBe(row.to === 'same' ? state : row.to);
      else throw new Error(`${type} in ${state} of a ${kind} order: ${JSON.stringify(result)}`);
    }
  });

  it('has at most one line for an event in a state of a kind', () => {
    for (const [kind, state, type] of EVERYTHING) {
      const lines = TRANSITIONS.filter((t) => t.event === type && t.kinds.includes(kind) && t.from.includes(state));
      expect(lines.length).toBeLessThanOrEqual(1);
      expect(statesAllowing(type, kind).includes(state)).toBe(lines.length === 1);
    }
  });

  it('knows every event as of one side', () => {
    for (const { event: type, actor } of TRANSITIONS)
      expect([type, actor]).toEqual([type, type in SERVER ? 'server' : 'agent']);
    expect(new Set(TRANSITIONS.map((t) => t.event))).toEqual(new Set(ALL_EVENTS));
  });

  it('never leads out of a final state', () => {
    const finals = ORDER_STATES.filter((state) => STATE_TRAITS[state].final);
    expect(TRANSITIONS.filter((t) => t.from.some((state) => finals.includes(state)))).toEqual([]);
  });

  it('lets only orders that change the host hold permits, begin or stall', () => {
    const begun = ['applying', 'awaitingReboot', 'rebooting', 'verifying', 'reverting', 'stalled'];
    const leading = TRANSITIONS.filter((t) => t.event === 'permit' || (t.to !== 'same' && begun.includes(t.to)));
    expect(leading.flatMap((t) => t.kinds).every(isMutating)).toBe(true);
  });
});

describe('reports', () => {
  const accepted = order('change', 'accepted', { seq: 1 });

  it.each([
    [0, { kind: 'duplicate' }],
    [1, { kind: 'duplicate' }],
    [3, { kind: 'gap', expected: 2 }],
    [9, { kind: 'gap', expected: 2 }],
  ])('number %d after 1 is recognised', (seq, result) => {
    expect(reduceOrder(accepted, event('staged', seq))).toEqual(result);
  });

  it('number 2 after 1 is taken', () => {
    expect(reduceOrder(accepted, event('staged', 2))).toMatchObject({
      kind: 'moved',
      order: { state: 'staged', seq: 2 },
    });
  });

  it('a duplicate is a duplicate even where the event would be refused', () => {
    expect(reduceOrder(order('change', 'succeeded', { seq: 5 }), event('apply', 3))).toEqual({ kind: 'duplicate' });
  });

  it('that reboot is required sends the order to wait for it', () => {
    const applied = { type: 'applied', rebootRequired: true, seq: 1, at: T0 } as const;
    expect(reduceOrder(order('change', 'applying'), applied)).toMatchObject({ order: { state: 'awaitingReboot' } });
  });

  it.each([
    ['applying', 'applied', 'verifying'],
    ['rebooting', 'booted', 'verifying'],
    ['verifying', 'healthy', 'succeeded'],
    ['reverting', 'reverted', 'reverted'],
    ['verifying', 'note', 'verifying'],
  ] as const)('stalled in %s goes on with %s: %s', (from, type, to) => {
    const stalled = reduceOrder(order('change', from, { seq: 3 }), event('silence'));
    if (stalled.kind !== 'moved') throw new Error(stalled.kind);
    expect(stalled.order).toMatchObject({ state: 'stalled', resumeFrom: from });
    expect(reduceOrder(stalled.order, event(type, 4))).toMatchObject({
      order: { state: to, resumeFrom: null, seq: 4 },
    });
  });

  it.each([
    ['offered', 'accept', 'accepted'],
    ['accepted', 'staged', 'staged'],
    ['staged', 'apply', 'applying'],
    ['staged', 'satisfied', 'succeeded'],
    ['staged', 'failed', 'failed'],
  ] as const)('expired in %s goes on with %s: %s', (from, type, to) => {
    const expired = reduceOrder(order('change', from), event('expire'));
    if (expired.kind !== 'moved') throw new Error(expired.kind);
    expect(reduceOrder(expired.order, event(type))).toMatchObject({ order: { state: to, resumeFrom: null } });
  });

  it('do not bring back what was never handed out', () => {
    for (const from of ['pending', 'released'] as const) {
      const expired = reduceOrder(order('change', from), event('expire'));
      if (expired.kind !== 'moved') throw new Error(expired.kind);
      for (const type of Object.keys(AGENT) as OrderEventType[]) {
        expect(reduceOrder(expired.order, event(type)).kind).toBe('refused');
      }
    }
  });
});

describe('permits', () => {
  const until = T0 + MINUTE;
  const staged = (some: Partial<OrderCore> = {}) => order('change', 'staged', { permitUntil: until, ...some });

  it.each(['recall', 'withdraw', 'supersede', 'skip', 'gateFailed'] as const)('%s waits while one is out', (type) => {
    const state = type === 'recall' ? 'released' : 'staged';
    expect(reduceOrder(order('change', state, { permitUntil: until }), event(type))).toEqual({
      kind: 'permitOutstanding',
      until,
    });
    expect(reduceOrder(order('change', state), event(type)).kind).toBe('moved');
  });

  it.each([
    [until - 1, { kind: 'permitOutstanding', until }],
    [until, { kind: 'permitOutstanding', until }],
    [until + 1, { kind: 'moved', violation: null, order: staged({ permitUntil: null }) }],
  ])('lapses only when the endpoint was heard after it: %d', (heardAt, result) => {
    expect(reduceOrder(staged(), { type: 'permitLapsed', heardAt })).toEqual(result);
  });

  it('that is not out can not lapse', () => {
    expect(reduceOrder(order('change', 'staged'), event('permitLapsed')).kind).toBe('refused');
  });

  it.each([
    ['a later one extends it', until + MINUTE, until + MINUTE],
    ['an earlier one does not shorten it', until - MINUTE, until],
  ])('%s', (_name, next, expected) => {
    expect(reduceOrder(staged(), { type: 'permit', until: next })).toMatchObject({ order: { permitUntil: expected } });
  });

  it.each([
    ['inside', until, null],
    ['a moment late', until + 1, 'startedOutsidePermit'],
  ])('a start %s: violation %s', (_name, at, violation) => {
    expect(reduceOrder(staged(), event('apply', 1, at))).toMatchObject({
      violation,
      order: { state: 'applying', permitUntil: null },
    });
    const revert = order('revert', 'staged', { permitUntil: until });
    expect(reduceOrder(revert, event('revertBegun', 1, at))).toMatchObject({
      violation,
      order: { state: 'reverting' },
    });
  });

  it('a start without any is what happened, and a violation', () => {
    expect(reduceOrder(order('change', 'staged'), event('apply'))).toMatchObject({
      violation: 'startedOutsidePermit',
      order: { state: 'applying' },
    });
  });

  it('of an ordered revert is out until it ends: taken back, it may begin after all, and is not withdrawn before that', () => {
    let core = order('revert', 'staged', { permitUntil: until });
    for (const type of ['revertBegun', 'silence', 'notBegun'] as const) {
      const result = reduceOrder(core, event(type, core.seq + 1));
      if (result.kind !== 'moved') throw new Error(`${type}: ${result.kind}`);
      core = result.order;
    }
    expect(core).toMatchObject({ state: 'staged', permitUntil: until });
    expect(reduceOrder(core, event('withdraw'))).toEqual({ kind: 'permitOutstanding', until });
    expect(reduceOrder(core, event('revertBegun', 3, until))).toMatchObject({ violation: null });
    expect(reduceOrder(core, event('revertBegun', 3, until + 1))).toMatchObject({ violation: 'startedOutsidePermit' });
    const ended = reduceOrder(order('revert', 'reverting', { permitUntil: until }), event('reverted'));
    expect(ended).toMatchObject({ order: { state: 'reverted', permitUntil: null } });
  });

  it('an undoing by the agent itself needs none, and can not be taken back', () => {
    const undoing = reduceOrder(order('change', 'verifying'), event('revertBegun'));
    expect(undoing).toMatchObject({ violation: null, order: { state: 'reverting' } });
    expect(reduceOrder(order('change', 'reverting'), event('notBegun')).kind).toBe('refused');
  });

  it.each(['accept', 'staged', 'note'] as const)('%s leaves it out', (type) => {
    const from = type === 'accept' ? 'offered' : 'accepted';
    expect(reduceOrder(order('change', from, { permitUntil: until }), event(type))).toMatchObject({
      order: { permitUntil: until },
    });
  });

  it('stays on record when its order expires, so that a late start can be judged by it', () => {
    const expired = reduceOrder(staged(), event('expire'));
    if (expired.kind !== 'moved') throw new Error(expired.kind);
    expect(expired.order).toMatchObject({ state: 'expired', permitUntil: until });
    expect(reduceOrder(expired.order, event('apply', 1, until))).toMatchObject({ violation: null });
    expect(reduceOrder(expired.order, event('apply', 1, until + 1))).toMatchObject({
      violation: 'startedOutsidePermit',
    });
  });
});

describe('what states count as', () => {
  it('counts every order once, and failed plus in flight covers all that is out', () => {
    for (const kind of ORDER_KINDS) {
      for (const state of ORDER_STATES) {
        const { phase, working, final } = STATE_TRAITS[state];
        const counted = budgetClass(kind, state);
        if (phase === 'holding') expect(['inFlight', 'failed']).toContain(counted);
        if (phase === 'waiting') expect(counted).toBe('none');
        if (final) expect(counted).not.toBe('inFlight');
        expect(isSettled(state)).toBe(state !== 'pending' && !working);
      }
    }
  });

  it("sees an agent's new order as offered and the server's as pending", () => {
    expect(offeredOrder('change').state).toBe('offered');
    expect(phaseOf(newOrder('scan'))).toBe('waiting');
  });
});

describe('docs/order-protocol.md', () => {
  const page = readFileSync(new URL('../../docs/order-protocol.md', import.meta.url), 'utf8');
  const cells = (line: string): string[] =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.replaceAll('`', '').trim());
  /** Rows of the table whose first headings are these, without backticks. */
  const table = (...headings: string[]): string[][] => {
    const lines = page.split('\n');
    const start = lines.findIndex((line) => headings.every((heading, i) => cells(line)[i] === heading));
    if (start < 0) throw new Error(`no table begins with ${headings}`);
    const end = lines.findIndex((line, i) => i > start && !line.startsWith('|'));
    return lines.slice(start + 2, end).map(cells);
  };
  const states = (text: string): OrderState[] =>
    text.split(', ').flatMap((word): readonly OrderState[] => {
      const begun = ['applying', 'awaitingReboot', 'rebooting', 'verifying', 'reverting'] as const;
      if (word === 'before apply') return BEFORE_APPLY;
      if (word === 'handed out') return ['offered', 'accepted', 'staged'];
      if (word === 'begun') return begun;
      if (word === 'began') return begun.slice(0, -1);
      if (!(ORDER_STATES as readonly string[]).includes(word)) throw new Error(`"${word}" is not a state`);
      return [word as OrderState];
    });

  it('says of every state what the code says', () => {
    const said = table('state', 'it means');
    expect(said.map((row) => row[0])).toEqual(expect.arrayContaining([...ORDER_STATES]));
    expect(said).toHaveLength(ORDER_STATES.length);
    for (const [state, , phase, budget, quorum, waits, final] of said as [OrderState, ...string[]][]) {
      const traits = STATE_TRAITS[state];
      const yes = (flag: boolean) => (flag ? 'yes' : 'no');
      const counted = { none: '–', inFlight: 'in flight', succeeded: 'succeeded', failed: 'failed' };
      expect([state, phase, budget, quorum, waits, final]).toEqual([
        state,
        traits.phase,
        counted[budgetClass('change', state)],
        yes(traits.holdsQuorum),
        yes(state === 'pending' || traits.working),
        yes(traits.final),
      ]);
    }
  });

  it('has the transitions the code has, line by line', () => {
    const said = table('actor').map(([actor, event_, from, to, kinds]) => ({
      actor,
      event: event_?.replace(' †', ''),
      needsNoPermit: event_?.endsWith('†') === true,
      from: states(from as string).sort(),
      to: to?.replace(/ \(.*\)$/, ''),
      kinds: kinds === 'all' ? [...ORDER_KINDS].sort() : (kinds as string).split(', ').sort(),
    }));
    const coded = TRANSITIONS.map(({ actor, event: type, from, to, kinds, needsNoPermit }) => ({
      actor,
      event: type,
      needsNoPermit: needsNoPermit === true,
      from: [...from].sort(),
      to,
      kinds: [...kinds].sort(),
    }));
    expect(said).toEqual(coded);
  });

  it('has the time-outs the code has', () => {
    const rows = table('state', 'silent for').flatMap(([names, time]) => {
      const minutes = /^(\d+) min$/.exec(time ?? '')?.[1];
      return minutes === undefined ? [] : states(names as string).map((state) => [state, Number(minutes)]);
    });
    expect(Object.fromEntries(rows)).toEqual(SILENCE_MINUTES);
  });
});
