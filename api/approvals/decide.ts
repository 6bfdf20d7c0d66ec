/**
 * A person's decision on a request, whichever way it came (the page of a mailed link, the API): who may decide, with what
 * proof, and what became of it. Only the worker can tell whether a code is right.
 */
import type { Pool } from 'pg';
import { decisionState, type JudgedDecision, type Located, submitDecision } from '../../db/approvals/decision.js';
import { inTransaction } from '../../db/pool.js';
import { looksLikeCode } from '../../domain/approval/one-time-code.js';
import { NO_CODE_SENT, PLAN_CHANGED } from '../../domain/approval/refusal.js';
import type { EpochMs } from '../../domain/time.js';
import { approvalWorkflowId } from '../../workflows/ids.js';
import { createGuessLimit } from '../auth/limits.js';
import type { Person } from '../auth/person.js';

export interface DecisionInput {
  readonly decision: 'approve' | 'reject';
  /** What the person saw. */
  readonly planDigest: string;
  readonly comment: string;
  /** As typed; empty: none. */
  readonly code: string;
}

interface Refusal {
  readonly status: 401 | 403 | 409 | 422;
  readonly message: string;
  /** The digest of the plan as it is now, where the decision was about another one. */
  readonly planInForce?: string;
}

export type Decided =
  /** Nothing was written; `status` is HTTP's. */
  | (Refusal & { readonly kind: 'refused' })
  /** Judged, and found not to count: 409 where it came too late, for a request or a plan that stands no more. */
  | (Refusal & { readonly kind: 'notCounted'; readonly decisionId: string })
  | { readonly kind: 'counted' | 'beingChecked'; readonly decisionId: string; readonly message: string };

/** Takes the decision of the person a {@link Located} is about. @throws Problem 429 after too many wrong codes */
export type Decide = (args: {
  readonly located: Located;
  /** Who is signed in, if anybody is. */
  readonly person: Person | null;
  readonly input: DecisionInput;
}) => Promise<Decided>;

/** How long a decision waits for the worker's verdict before it is answered with "being checked". */
const VERDICT_WAIT_MS = 8_000;
const UNIQUE_VIOLATION = '23505';

export function createDecide(deps: { pool: Pool; clock: () => EpochMs }): Decide {
  const guesses = createGuessLimit({ pool: deps.pool, name: 'approval-code', points: 20, seconds: 15 * 60 });
  return async ({ located, person, input }) => {
    const { request, accountId } = located;
    const refused = refusal({ located, person, input, now: deps.clock() });
    if (refused !== null) return refused;
    const code = input.code.trim();
    // Tries of whoever has only the link must not shut out the person who has signed in.
    const signedIn = isSignedIn(located, person);
    const guess = `${request.id}/${accountId}${signedIn ? '/signed-in' : ''}`;
    await guesses.check([guess]);

    let decisionId: string;
    try {
      decisionId = await inTransaction(deps.pool, (client) =>
        submitDecision(client, {
          requestId: request.id,
          workflowId: approvalWorkflowId({ changeId: request.changeId, ring: request.ring, requestId: request.id }),
          accountId,
          decision: input.decision,
          comment: input.comment,
          planDigest: input.planDigest,
          proof: signedIn ? 'session' : 'code',
          code: code === '' ? null : code,
          now: deps.clock(),
        }),
      );
    } catch (error) {
      if ((error as { code?: string }).code !== UNIQUE_VIOLATION) throw error;
      return refuse(409, 'Your decision on this request is there already.');
    }
    const verdict = await verdictOf(deps.pool, decisionId);
    if (verdict.state === 'refused') {
      const why = `Not counted: ${verdict.refusedReason}.`;
      if (verdict.requestState !== 'open' || verdict.refusedReason === PLAN_CHANGED)
        return {
          kind: 'notCounted',
          decisionId,
          status: 409,
          ...overtaken(why, input.planDigest, verdict.planInForce),
        };
      await guesses.failed([guess]);
      return { kind: 'notCounted', decisionId, status: 422, message: why };
    }
    if (verdict.state === 'counted') {
      return { kind: 'counted', decisionId, message: `Your decision (${input.decision}) has been counted.` };
    }
    return {
      kind: 'beingChecked',
      decisionId,
      message: `Your decision (${input.decision}) is recorded and being checked`,
    };
  };
}

/** Whether the located person is signed in with a session: an API token is no proof of a person. */
export function isSignedIn(located: Located, person: Person | null): boolean {
  return person?.via === 'session' && person.accountId === located.accountId;
}

function refusal(args: Parameters<Decide>[0] & { readonly now: EpochMs }): Decided | null {
  const { located, person, input } = args;
  const { highRisk } = located.request;
  const why = shut(located, args.now);
  if (why !== null)
    return { kind: 'refused', status: 409, ...overtaken(why, input.planDigest, located.request.planInForce) };
  const code = input.code.trim();
  if (person?.via === 'token' && code === '')
    return refuse(403, 'An API token decides nothing: sign in, or use your one-time code.');
  if (person !== null && person.accountId !== located.accountId)
    return refuse(403, `You are signed in as ${person.name}; this link was sent to ${located.name}.`);
  if (code === '' && (!isSignedIn(located, person) || highRisk)) {
    return refuse(401, highRisk ? 'This decision needs your one-time code.' : 'Sign in, or type your one-time code.');
  }
  if (code !== '' && !looksLikeCode(code))
    return refuse(422, 'This is no one-time code: those have ten letters and digits, such as 7KQ2M-XH4PD.');
  return null;
}

/** Says which plan is in force, to whom decides on one that no longer is. */
function overtaken(
  why: string,
  decidedOn: string,
  planInForce: string | null,
): Pick<Refusal, 'message' | 'planInForce'> {
  if (planInForce === null || planInForce === decidedOn) return { message: why };
  return { message: `${why} The plan in force is now ${planInForce}.`, planInForce };
}

const refuse = (status: 401 | 403 | 409 | 422, message: string): Decided => ({ kind: 'refused', status, message });

/** Why this request takes no decision from this person any more, or never did; null when it does. */
export function shut(located: Located, now: EpochMs): string | null {
  const { request } = located;
  if (request.state !== 'open') return `This request is ${request.state}.`;
  if (request.expiresAt <= now) return 'This request has expired.';
  if (request.highRisk && located.codeWay === null)
    return `You can’t decide on this high-risk change: ${NO_CODE_SENT}. An administrator can set one; it holds from the next request on.`;
  return null;
}

/** Looks until the worker has judged, for a few seconds; then whatever it is by then. */
async function verdictOf(pool: Pool, decisionId: string): Promise<JudgedDecision> {
  const waits = [50, 100, 150, 200];
  for (let waited = 0; ; ) {
    const verdict = await decisionState(pool, decisionId);
    if (verdict === null) throw new Error(`decision ${decisionId} has vanished`);
    if (verdict.state !== 'submitted' || waited >= VERDICT_WAIT_MS) return verdict;
    const pause = waits.shift() ?? 250;
    waited += pause;
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}
