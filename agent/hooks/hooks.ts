/** Gates its owner installed on this endpoint: drain, silence monitoring, take a snapshot (design §4). */
import type { Hook } from '../../protocol/messages.js';
import { findTrustedProgram } from '../system/files.js';
import { type Run, tail } from '../system/run.js';

export interface HookContext {
  readonly orderId: string;
  /** What happened, for hooks that run after: `succeeded`, `reverted`, `failed`, `notStarted`; `pending` before. */
  readonly outcome: string;
}

export interface HookResult {
  readonly name: string;
  readonly ok: boolean;
  /** Empty when ok. */
  readonly problem: string;
  /** Whether the order may go on all the same. */
  readonly ignored: boolean;
}

/**
 * Runs the hooks of one moment in the order's order; stops at the first that must succeed and does not. They get no
 * arguments, only `RINGMASTER_*` variables, and may be run again after a crash, so they must be idempotent.
 */
export async function runHooks(args: {
  readonly hooks: readonly Hook[];
  readonly when: Hook['when'];
  readonly dir: string;
  readonly ownerUid: number;
  readonly context: HookContext;
  readonly run: Run;
}): Promise<readonly HookResult[]> {
  const results: HookResult[] = [];
  for (const hook of args.hooks.filter((h) => h.when === args.when)) {
    const problem = await problemOf(hook, args);
    results.push({ name: hook.name, ok: problem === '', problem, ignored: hook.onFailure === 'ignore' });
    if (problem !== '' && hook.onFailure === 'fail') break;
  }
  return results;
}

/** The first hook that stops the order, as a sentence; null when none does. */
export function stoppedBy(results: readonly HookResult[]): string | null {
  const failed = results.find((result) => !result.ok && !result.ignored);
  return failed === undefined ? null : `hook ${failed.name} ${failed.problem}`;
}

async function problemOf(hook: Hook, args: Parameters<typeof runHooks>[0]): Promise<string> {
  const found = findTrustedProgram({ dir: args.dir, name: hook.name, ownerUid: args.ownerUid });
  if (!found.ok) return found.reason;
  const result = await args.run([found.path], {
    timeoutMs: hook.timeoutSeconds * 1_000,
    maxOutput: 64 * 1024,
    env: {
      RINGMASTER_ORDER: args.context.orderId,
      RINGMASTER_WHEN: hook.when,
      RINGMASTER_OUTCOME: args.context.outcome,
    },
  });
  if (result.timedOut) return `did not end within ${hook.timeoutSeconds} s`;
  return result.code === 0 ? '' : `failed (${result.code}): ${tail(result.stderr || result.stdout, 400)}`;
}
