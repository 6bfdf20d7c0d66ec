/**
 * Both sides of the protocol against each other: a server and an agent that share nothing but messages, over a network that
 * loses, doubles, delays and reorders them. Server and agent each know only what they have been told.
 */
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { MINUTE } from '../time.js';
import type { AgentEvent, ServerEvent } from './events.js';
import type { OrderCore, ReduceResult, Violation } from './reduce.js';
import { newOrder, offeredOrder, reduceOrder } from './reduce.js';
import type { OrderKind, OrderState } from './states.js';
import { BEFORE_APPLY, isMutating, ORDER_STATES, STATE_TRAITS } from './states.js';

interface Poll {
  /** Server time at the latest when the agent wrote it; the server may rely on it for permits. */
  readonly writtenAt: number;
  readonly reports: readonly AgentEvent[];
  readonly listed: { readonly state: OrderCore['state']; readonly seq: number } | null;
}
interface Reply {
  readonly ack: number;
  readonly order: boolean;
  readonly permitUntil: number | null;
  readonly rebootBy: number | null;
}

class World {
  now = 0;
  server: OrderCore;
  agent: OrderCore | null = null;
  journal: AgentEvent[] = [];
  acked = 0;
  agentPermit: number | null = null;
  rebootPermit = -1;
  stopped = false;
  /** Times the package manager was touched for the first time. */
  applied = 0;
  /** Of an ordered revert: that it has been touched, not only announced. The agent finds this on its disk, whenever it died. */
  private undoing = false;
  /** When it last said that it starts, and the latest start any permit ever allowed. */
  startedAt: number | null = null;
  latestPermit = -1;
  readonly violations: Violation[] = [];
  readonly said = new Set<string>();
  readonly polls: Poll[] = [];
  readonly replies: Reply[] = [];
  private final: OrderCore | null = null;
  private withdrawnBeforeStart = false;
  private givenUp = false;

  constructor(
    readonly kind: OrderKind,
    /** Starts without looking at its permit: what the server must notice. */
    readonly rogue: boolean,
  ) {
    this.server = newOrder(kind);
  }

  stop(stopped: boolean): void {
    this.stopped = stopped;
  }

  pass(minutes: number): void {
    this.now += minutes * MINUTE;
  }

  // --- the server ---------------------------------------------------------------------------------------------------

  serverSays(event: ServerEvent): ReduceResult {
    const before = this.server;
    const result = reduceOrder(before, event);
    if (result.kind === 'moved') this.server = result.order;
    if (
      result.kind === 'moved' &&
      (['withdrawn', 'superseded', 'skipped'].includes(result.order.state) || event.type === 'gateFailed')
    ) {
      // The heart of it: what has been taken back can not have begun, and can not begin any more.
      if (!this.rogue) expect(this.applied).toBe(0);
      this.withdrawnBeforeStart = true;
    }
    if (result.kind === 'moved' && event.type === 'abandon') this.givenUp = true;
    this.checkFinal(before);
    return result;
  }

  take(poll: Poll): void {
    for (const event of poll.reports) {
      const before = this.server;
      const result = reduceOrder(before, event);
      if (result.kind === 'gap') break;
      if (result.kind === 'moved') {
        this.server = result.order;
        if (result.violation !== null) this.violations.push(result.violation);
      } else if (result.kind === 'refused') {
        this.server = { ...this.server, seq: event.seq };
        if (starts(this.kind, event)) this.violations.push('startedOutsidePermit');
      }
      this.checkFinal(before);
    }
    const { listed } = poll;
    const notBegun =
      listed === null
        ? this.server.seq === 0 && this.server.state === 'offered'
        : listed.seq === this.server.seq && ['accepted', 'staged'].includes(listed.state);
    if (notBegun) this.serverSays({ type: 'permitLapsed', heardAt: poll.writtenAt });
    this.replies.push(this.replyTo(listed));
  }

  private replyTo(listed: Poll['listed']): Reply {
    const handedOut = () => ['offered', 'accepted', 'staged'].includes(this.server.state);
    if (this.server.state === 'released' && !this.stopped) this.serverSays({ type: 'offer' });
    let permitUntil: number | null = null;
    if (handedOut() && !this.stopped && isMutating(this.kind)) {
      const until = this.now + 5 * MINUTE;
      if (this.serverSays({ type: 'permit', until }).kind === 'moved') {
        permitUntil = until;
        this.latestPermit = Math.max(this.latestPermit, until);
      }
    }
    // Of an order that has begun, only one that waits for its reboot is given anything.
    const rebootBy = this.server.state === 'awaitingReboot' && listed !== null ? this.now + 5 * MINUTE : null;
    return { ack: this.server.seq, order: handedOut() && listed === null, permitUntil, rebootBy };
  }

  // --- the agent ----------------------------------------------------------------------------------------------------

  writePoll(): void {
    const { agent } = this;
    this.polls.push({
      writtenAt: this.now,
      reports: this.journal.filter((event) => event.seq > this.acked),
      listed: agent === null || STATE_TRAITS[agent.state].final ? null : { state: agent.state, seq: agent.seq },
    });
  }

  hear(reply: Reply): void {
    if (reply.order) this.agent ??= offeredOrder(this.kind);
    if (this.agent === null) return;
    this.acked = Math.max(this.acked, reply.ack);
    // A delayed permit is worth no more than what it says.
    if (reply.permitUntil !== null) this.agentPermit = Math.max(this.agentPermit ?? 0, reply.permitUntil);
    this.rebootPermit = Math.max(this.rebootPermit, reply.rebootBy ?? -1);
  }

  agentStep(choice: number): void {
    const { agent } = this;
    if (agent === null) return;
    const mayReboot = this.now <= this.rebootPermit;
    const undoes = this.kind === 'revert';
    const permitted = this.rogue || (this.agentPermit !== null && this.now <= this.agentPermit);
    const start: Partial<AgentEvent> = undoes ? { type: 'revertBegun', cause: 'asked to' } : { type: 'apply' };
    const words: Record<string, readonly Partial<AgentEvent>[]> = {
      offered: [
        { type: 'accept' },
        { type: 'accept' },
        { type: 'refuse', reason: 'r' },
        { type: 'decline', reason: 'r' },
      ],
      accepted: [{ type: 'staged' }, { type: 'staged' }, { type: 'note', text: 't' }, { type: 'failed', cause: 'c' }],
      staged: undoes
        ? [start, start, { type: 'moot', reason: 'r' }, { type: 'note', text: 't' }]
        : [start, start, { type: 'satisfied' }, { type: 'note', text: 't' }],
      applying: [
        { type: 'applied', rebootRequired: false },
        { type: 'applied', rebootRequired: true },
        { type: 'failed', cause: 'c' },
        { type: 'revertBegun', cause: 'c' },
      ],
      awaitingReboot: mayReboot
        ? [{ type: 'reboot' }, { type: 'reboot' }, { type: 'note', text: 't' }]
        : [{ type: 'note', text: 't' }],
      // What was announced in time may come too late, and is taken back then; it may be taken back for other reasons, too.
      rebooting: mayReboot
        ? [{ type: 'booted' }, { type: 'booted' }, { type: 'notRebooted', reason: 'r' }]
        : [{ type: 'notRebooted', reason: 'r' }],
      verifying: [
        { type: 'healthy' },
        { type: 'healthy' },
        { type: 'revertBegun', cause: 'c' },
        { type: 'failed', cause: 'c' },
      ],
      // What was ordered and announced is covered when it begins, or is taken back; what has begun is not asked any more.
      reverting:
        undoes && !this.undoing && !permitted
          ? [{ type: 'notBegun', reason: 'r' }]
          : [
              { type: 'reverted' },
              { type: 'revertFailed', cause: 'c' },
              ...(undoes && !this.undoing ? [{ type: 'notBegun', reason: 'r' } as const] : []),
            ],
    };
    const options = words[agent.state] ?? [];
    const word = options[choice % Math.max(1, options.length)];
    if (word === undefined) return;
    if (word === start && !permitted) return;
    if (undoes ? agent.state === 'reverting' && word.type !== 'notBegun' && !this.undoing : word === start) {
      this.applied += 1;
      this.undoing = undoes;
    }
    if (word === start) this.startedAt = this.now;
    const event = { ...word, seq: agent.seq + 1, at: this.now } as AgentEvent;
    const result = reduceOrder(agent, event);
    if (result.kind !== 'moved') return;
    this.agent = result.order;
    this.journal.push(event);
    this.said.add(event.type);
  }

  // --- what must hold -----------------------------------------------------------------------------------------------

  private checkFinal(before: OrderCore): void {
    if (this.final !== null) expect(this.server.state).toBe(this.final.state);
    if (STATE_TRAITS[this.server.state].final) this.final ??= this.server;
    if (STATE_TRAITS[before.state].final) expect(this.server.state).toBe(before.state);
  }

  check(): void {
    expect(this.applied).toBeLessThanOrEqual(1);
    if (!this.rogue) {
      expect(this.violations).toEqual([]);
      if (this.withdrawnBeforeStart) expect(this.applied).toBe(0);
      // Whoever may start holds a permit the server knows of, unless it gave up on an announcement it had been told of.
      if (
        this.applied === 0 &&
        !this.givenUp &&
        this.agentPermit !== null &&
        this.agentPermit >= this.now &&
        canStart(this.agent)
      ) {
        const known = this.server.permitUntil !== null && this.server.permitUntil >= this.agentPermit;
        expect(known || !STATE_TRAITS[this.server.state].final || this.server.state === 'succeeded').toBe(true);
      }
    }
  }

  /** Everything gets through at last: then both sides agree, or the server has given up for a reason of its own. */
  quiesce(): void {
    this.polls.length = 0;
    this.replies.length = 0;
    for (let i = 0; i < 3; i++) {
      this.writePoll();
      this.take(this.polls.pop() as Poll);
      this.hear(this.replies.pop() as Reply);
    }
    this.check();
    const { server, agent } = this;
    const ended = agent !== null && STATE_TRAITS[agent.state].final;
    const byServer =
      ['withdrawn', 'superseded', 'skipped', 'failed'].includes(server.state) && server.state !== agent?.state;
    if (ended && !byServer) expect(server.state).toBe(agent.state);
    if (ended) expect(this.acked).toBe(agent.seq);
    // One that waits for its reboot is known to, so it is given a permit, however often a reboot was announced and taken back.
    if (agent?.state === 'awaitingReboot' && server.state === 'awaitingReboot')
      expect(this.rebootPermit).toBeGreaterThanOrEqual(this.now);
    if (agent?.state === 'awaitingReboot' && STATE_TRAITS[server.state].working)
      expect(server.state).toBe('awaitingReboot');
  }

  /** With the agent silent for ever, the server alone brings every order to an end. */
  endAlone(): void {
    for (const type of ['expire', 'silence', 'abandon'] as const) {
      this.serverSays(type === 'abandon' ? { type, reason: 'closed' } : { type });
    }
    expect(STATE_TRAITS[this.server.state].phase).toBe('done');
  }
}

/** The report that says the package manager is about to be touched for the first time. */
const starts = (kind: OrderKind, event: AgentEvent): boolean =>
  event.type === (kind === 'revert' ? 'revertBegun' : 'apply');
const canStart = (agent: OrderCore | null): boolean => agent !== null && BEFORE_APPLY.includes(agent.state);

type Act = (world: World) => void;
const act = (name: string, run: Act): { toString(): string; run: Act } => ({ toString: () => name, run });
const server = (event: ServerEvent) => act(event.type, (world) => world.serverSays(event));
/** Everything the network has to do for one exchange, at once: most walks should get somewhere. */
function exchange(world: World): void {
  world.writePoll();
  world.take(world.polls.pop() as Poll);
  world.hear(world.replies.pop() as Reply);
}
const pick = <T>(list: T[], n: number, keep: boolean): T | undefined =>
  keep ? list[n % list.length] : list.splice(n % Math.max(1, list.length), 1)[0];

const acts = fc.oneof(
  { weight: 6, arbitrary: fc.constant(act('agent and server talk', exchange)) },
  {
    weight: 3,
    arbitrary: fc.constant(
      act('agent gets ready and talks', (world) => {
        for (const from of ['offered', 'accepted']) if (world.agent?.state === from) world.agentStep(0);
        exchange(world);
      }),
    ),
  },
  {
    weight: 2,
    arbitrary: fc
      .constantFrom<ServerEvent>({ type: 'withdraw' }, { type: 'supersede' }, { type: 'skip', reason: 'r' })
      .map((event) =>
        act(`a stop commits, the agent talks, ${event.type}`, (world) => {
          world.stop(true);
          exchange(world);
          world.serverSays(event);
        }),
      ),
  },
  { weight: 6, arbitrary: fc.nat(3).map((n) => act(`agent steps ${n}`, (world) => world.agentStep(n))) },
  { weight: 5, arbitrary: fc.constant(act('agent polls', (world) => world.writePoll())) },
  {
    weight: 6,
    arbitrary: fc.tuple(fc.nat(5), fc.boolean()).map(([n, keep]) =>
      act(`poll ${n} arrives${keep ? ', and will again' : ''}`, (world) => {
        const poll = pick(world.polls, n, keep);
        if (poll !== undefined) world.take(poll);
      }),
    ),
  },
  {
    weight: 6,
    arbitrary: fc.tuple(fc.nat(5), fc.boolean()).map(([n, keep]) =>
      act(`reply ${n} arrives${keep ? ', and will again' : ''}`, (world) => {
        const reply = pick(world.replies, n, keep);
        if (reply !== undefined) world.hear(reply);
      }),
    ),
  },
  { weight: 1, arbitrary: fc.constant(act('a poll is lost', (world) => void world.polls.shift())) },
  { weight: 1, arbitrary: fc.constant(act('a reply is lost', (world) => void world.replies.shift())) },
  {
    weight: 3,
    arbitrary: fc.constantFrom(1, 2, 4, 6).map((minutes) => act(`${minutes} min pass`, (world) => world.pass(minutes))),
  },
  { weight: 3, arbitrary: fc.constant(server({ type: 'release' })) },
  // Says nothing of an order that has not begun, and few walks get that far: so it is said often.
  { weight: 2, arbitrary: fc.constant(server({ type: 'silence' })) },
  { weight: 1, arbitrary: fc.constant(act('a stop commits', (world) => world.stop(true))) },
  { weight: 1, arbitrary: fc.constant(act('the stop is cleared', (world) => world.stop(false))) },
  {
    weight: 2,
    arbitrary: fc
      .constantFrom<ServerEvent>(
        { type: 'withdraw' },
        { type: 'supersede' },
        { type: 'skip', reason: 'r' },
        { type: 'recall' },
        { type: 'gateFailed', reason: 'r' },
        { type: 'expire' },
        { type: 'abandon', reason: 'r' },
      )
      .map(server),
  },
);

describe('server and agent', () => {
  it.each<[OrderKind, boolean]>([
    ['change', false],
    ['stage', false],
    ['revert', false],
    ['change', true],
    ['revert', true],
  ])('of a %s order (rogue agent: %s) agree in the end, whatever the network does', (kind, rogue) => {
    fc.assert(
      fc.property(fc.array(acts, { minLength: 10, maxLength: 100, size: 'max' }), (steps) => {
        const world = new World(kind, rogue);
        // Most of the walk should be spent where something can happen.
        world.serverSays({ type: 'release' });
        for (const step of steps) {
          step.run(world);
          world.check();
        }
        world.quiesce();
        // A start that no permit ever allowed does not go unseen once it is reported.
        const { startedAt, latestPermit } = world;
        if (startedAt !== null && startedAt > latestPermit && world.acked >= startOf(world)) {
          expect(world.violations).toContain('startedOutsidePermit');
        }
        world.endAlone();
      }),
      { numRuns: 400 },
    );
  });

  it.each<[OrderKind, readonly OrderState[]]>([
    ['change', []],
    // Undoing neither installs, reboots nor verifies, and never ends as anything was installed.
    ['revert', ['applying', 'awaitingReboot', 'rebooting', 'verifying', 'succeeded']],
  ])('get somewhere: the walk of a %s order reaches every state there is for it', (kind, never) => {
    const seen = new Set<string>();
    const said = new Set<string>();
    const walks = fc.sample(fc.array(acts, { minLength: 60, maxLength: 120, size: 'max' }), {
      numRuns: 1_000,
      seed: 7,
    });
    for (const steps of walks) {
      const world = new World(kind, false);
      for (const step of steps) {
        step.run(world);
        seen.add(world.server.state);
      }
      for (const type of world.said) said.add(type);
    }
    const words = kind === 'change' ? ['reboot', 'notRebooted', 'booted', 'healthy'] : ['notBegun', 'reverted'];
    expect([...said]).toEqual(expect.arrayContaining(words));
    expect([...seen].sort()).toEqual(ORDER_STATES.filter((state) => !never.includes(state)).sort());
  });
});

function startOf(world: World): number {
  return world.journal.findLast((event) => starts(world.kind, event))?.seq ?? Number.POSITIVE_INFINITY;
}
