import { waitBounded } from './pace.js';
import { judgeProof } from './proof.js';
import type { StageDeps } from './stage-deps.js';
import { loadForStage, paceOf } from './stage-deps.js';

/**
 * Proves what the orders claim: asks every endpoint that reported success for a scan, waits for it so long and no longer,
 * and compares what is installed with what was planned. No report counts as proof by itself.
 */
export async function confirm(
  deps: StageDeps,
  { changeId }: { readonly changeId: string },
): Promise<{ confirmed: number; missing: number; unscanned: number }> {
  const { db, pool } = deps;
  const loaded = await loadForStage(deps, changeId);
  const pace = paceOf(deps);
  pace.heartbeat(pace.left);
  const { evidence } = loaded.kind;
  const context = loaded.context(pool);
  const claims = () => evidence?.claims(context) ?? db.loadClaims(pool, changeId);
  const asked = (await claims()).flatMap((claim) => (claim.scanned ? [] : [claim.endpointId]));
  await (evidence?.prove(context, asked) ?? db.askForScans(pool, asked));
  await waitBounded({
    pace,
    clock: deps.clock,
    minutes: loaded.timing.confirmMinutes,
    look: async () => (await claims()).filter((claim) => !claim.scanned).length,
  });
  return db.inTransaction(pool, async (client) => {
    const proof = await judgeProof(deps, loaded, client);
    await db.recordProof(client, { changeId, unproven: proof.unproven });
    const missing = proof.missing.length;
    const unscanned = proof.unscanned.length;
    const confirmed = proof.claims.length - missing - unscanned;
    await db.appendAudit(client, [
      {
        actor: 'worker',
        action: 'change.confirmed',
        subject: `change/${changeId}`,
        detail: { confirmed, missing, unscanned },
      },
    ]);
    return { confirmed, missing, unscanned };
  });
}
