import type { StageDeps } from './stage-deps.js';

/**
 * Inserts the orders by which endpoints fetch their content ahead of their window. Not for a change that is halted: what
 * a stop has found must not be joined by new orders.
 */
export async function planStaging(
  deps: StageDeps,
  { changeId }: { readonly changeId: string },
): Promise<{ orders: number }> {
  const { db, pool } = deps;
  const orders = await db.inTransaction(pool, async (client) => {
    const change = await db.loadChange(client, { changeId, lock: true });
    if (change === null || change.closedAt !== null) return 0;
    return db.insertStageOrders(client, { changeId, now: deps.clock() });
  });
  return { orders };
}
