/**
 * A scripted stand-in for the world, for tests of workflow logic alone: no rows, no endpoints. It says what the real
 * activities would say and records every call; the real ones have tests of their own.
 */
import type { Activities, FrozenPlanResult, PumpResult } from '../../activities/contract.js';
import type { ApprovalRule } from '../../domain/approval/rule.js';
import type { RingCounts } from '../../domain/change/counts.js';
import type { ChangeSpec, RingSpec } from '../../domain/change/spec.js';
import { DAY, HOUR, MINUTE } from '../../domain/time.js';

export const counts = (over: Partial<RingCounts> = {}): RingCounts => ({
  planned: 10,
  pending: 0,
  inFlight: 0,
  succeeded: 10,
  failed: 0,
  none: 0,
  byState: {},
  offline: 0,
  windowless: 0,
  stragglers: 0,
  mayStillStartUntil: null,
  ...over,
});

export const pumpResult = (over: Partial<PumpResult> = {}): PumpResult => ({
  kind: 'drained',
  counts: counts(),
  nextOpen: null,
  haltReason: null,
  haltedBy: null,
  ...over,
});

export const approvalRule = (over: Partial<ApprovalRule> = {}): ApprovalRule => ({
  from: { role: 'Manager' },
  quorum: 1,
  remindEveryMinutes: 24 * 60,
  escalateAfterMinutes: 3 * 24 * 60,
  escalateTo: { role: 'Administrator' },
  expireAfterMinutes: 7 * 24 * 60,
  highRisk: false,
  ...over,
});

export const ringSpec = (over: Partial<RingSpec> = {}): RingSpec => ({
  name: 'ring',
  select: { sharePercent: 100 },
  maxInFlight: 8,
  errorBudget: { count: 1 },
  successThresholdPercent: 95,
  minSample: 1,
  soakMinutes: 0,
  approvals: [],
  deadlineMinutes: 7 * 24 * 60,
  haltAction: 'pause',
  ...over,
});

export const changeSpec = (rings: readonly RingSpec[], over: Partial<ChangeSpec> = {}): ChangeSpec => ({
  kind: 'patch',
  name: 'November',
  reason: 'monthly',
  scope: { all: true },
  rings,
  priority: 0,
  deadlineMinutes: 60 * 24 * 60,
  offlineAfterMinutes: 15,
  parameters: {},
  ...over,
});

type Script = { readonly [K in keyof Activities]?: (args: Parameters<Activities[K]>[0], call: number) => unknown };

export interface ScriptedWorld {
  readonly activities: Activities;
  readonly calls: readonly { readonly name: string; readonly args: Record<string, unknown> }[];
  named(name: keyof Activities): readonly Record<string, unknown>[];
}

/** `now` is the test server's clock. Anything not scripted goes well at once. */
export function scriptedWorld(args: {
  readonly now: () => Promise<number>;
  readonly rings: number;
  readonly script?: Script;
}): ScriptedWorld {
  const calls: { name: string; args: Record<string, unknown> }[] = [];
  let plans = 0;
  const usual: Activities = {
    project: async () => undefined,
    discover: async () => ({ endpoints: 10 * args.rings, fresh: 10 * args.rings, stale: 0 }),
    freezePlan: async () => {
      plans += 1;
      return {
        digest: `digest-${plans}`,
        revision: plans,
        rings: Array.from({ length: args.rings }, (_, ordinal) => ({
          ordinal,
          name: `ring ${ordinal}`,
          endpoints: 10,
        })),
        excluded: 0,
        widened: plans > 1,
        empty: false,
      };
    },
    obtainContent: async () => ({ files: 1, bytes: 1 }),
    obtainAndFreeze: async (input) => {
      await wrap('obtainContent')(input as never);
      return (await wrap('freezePlan')(input as never)) as FrozenPlanResult;
    },
    planStaging: async () => ({ orders: 0 }),
    confirm: async () => ({ confirmed: 10, missing: 0, unscanned: 0 }),
    closeChange: async ({ outcome }) => ({ outcome }),
    startScheduledChange: async () => ({ changeId: 'scheduled' }),
    openRing: async () => ({ orders: 10 }),
    resolveWindows: async () => ({ openNow: 10, nextOpen: null, never: 0, sentence: '10 endpoints, open now' }),
    pump: async () => pumpResult(),
    evaluateRing: async () => ({ kind: 'promote', reason: 'fine', counts: counts() }),
    moveStragglers: async () => ({ moved: 0 }),
    haltRing: async () => undefined,
    clearHalt: async () => undefined,
    withdrawOpen: async () => ({ withdrawn: 0, outstanding: 0, mayStillStartUntil: null }),
    settleRing: async () => ({ withdrawn: 0 }),
    startRollback: async () => ({ orders: 10 }),
    retryFailed: async () => ({ orders: 1 }),
    skipEndpoint: async () => ({ skipped: true, reason: null }),
    finishRing: async () => undefined,
    openApproval: async ({ rule }) => {
      const now = await args.now();
      return {
        expiresAt: now + rule.expireAfterMinutes * MINUTE,
        remindAt: [now + DAY, now + 2 * DAY],
        escalateAt: now + rule.escalateAfterMinutes * MINUTE + HOUR,
        people: ['Ada'],
      };
    },
    judgeDecision: async () => ({
      verdict: 'counted',
      decision: 'approve',
      reason: null,
      by: 'Ada',
      approvals: 1,
      quorumMet: true,
    }),
    remindApproval: async () => undefined,
    escalateApproval: async () => ({ people: ['Grace'] }),
    closeApproval: async () => undefined,
  };
  const counters = new Map<string, number>();
  const wrap = (name: keyof Activities) => async (input: never) => {
    calls.push({ name, args: input });
    const call = (counters.get(name) ?? 0) + 1;
    counters.set(name, call);
    const scripted = args.script?.[name] as ((input: never, call: number) => unknown) | undefined;
    const answer = await scripted?.(input, call);
    return answer ?? (usual[name] as (input: never) => Promise<unknown>)(input);
  };
  const activities = Object.fromEntries(
    Object.keys(usual).map((name) => [name, wrap(name as keyof Activities)]),
  ) as unknown as Activities;
  return {
    activities,
    calls,
    named: (name) => calls.filter((c) => c.name === name).map((c) => c.args),
  };
}
