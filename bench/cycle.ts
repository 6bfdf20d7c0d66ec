/** A routine cycle through five rings: started, followed to its end, and measured. */
import { Client, Connection } from '@temporalio/client';
import { type Installation, until } from '../demo/installation.js';
import { STRAGGLERS } from '../domain/change/spec.js';
import { changeWorkflowId, ringWorkflowId } from '../workflows/ids.js';
import { round } from './processes.js';

/** Shares of the whole fleet, as the issue names them; a ring takes its share of what earlier ones left. */
const SHARES = [1, 4, 15, 30, 50];

export interface CycleOptions {
  readonly name: string;
  readonly packages: readonly string[];
  readonly maxInFlight: number;
  readonly priority?: number;
}

/** @returns the change's id, and when it was asked for (epoch ms, before the request left). */
export async function startCycle(
  installation: Installation,
  options: CycleOptions,
): Promise<{ changeId: string; askedAt: number }> {
  let left = 100;
  const rings = SHARES.map((share, index) => {
    const sharePercent = Math.min(100, (share / left) * 100);
    left -= share;
    return ringOf({ name: `ring ${index + 1}`, sharePercent, maxInFlight: options.maxInFlight });
  });
  const askedAt = Date.now();
  const { id } = await installation.api<{ id: string }>('POST', '/v1/changes', changeOf({ ...options, rings }));
  return { changeId: id, askedAt };
}

export const ringOf = (args: {
  name: string;
  sharePercent: number;
  maxInFlight: number;
  approvals?: readonly object[];
}) => ({
  name: args.name,
  select: { sharePercent: args.sharePercent },
  maxInFlight: args.maxInFlight,
  errorBudget: { percent: 5 },
  successThresholdPercent: 90,
  minSample: 0,
  soakMinutes: 0,
  approvals: args.approvals ?? [],
  deadlineMinutes: 600,
  haltAction: 'pause',
});

export const changeOf = (args: {
  name: string;
  packages: readonly string[];
  rings: readonly object[];
  priority?: number;
  scope?: object;
}) => ({
  kind: 'patch',
  name: args.name,
  reason: 'benchmark',
  scope: args.scope ?? { all: true },
  rings: args.rings,
  priority: args.priority ?? 0,
  deadlineMinutes: 1_200,
  offlineAfterMinutes: 60,
  parameters: { include: { packages: [...args.packages] }, confirmMinutes: 5, discoverMinutes: 1 },
});

export interface CycleFigures {
  readonly endpoints: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly outcome: string | null;
  /** From the request to each, seconds. */
  readonly seconds: { readonly firstRelease: number; readonly lastSettled: number; readonly closed: number };
  readonly stages: Readonly<Record<string, number>>;
  readonly rings: readonly {
    readonly ring: number;
    readonly endpoints: number;
    readonly seconds: number;
    readonly perSecond: number;
  }[];
}

/** Waits until the change is closed. @param limitSeconds how long that may take */
export async function followCycle(
  installation: Installation,
  change: { changeId: string; askedAt: number },
  limitSeconds = 1_800,
): Promise<CycleFigures> {
  const { pool } = installation;
  const { changeId, askedAt } = change;
  const stages: Record<string, number> = {};
  let outcome: string | null = null;
  let closedAt = 0;
  await until(
    'the change to close',
    limitSeconds,
    async () => {
      const { rows } = await pool.query(
        'SELECT stage, outcome, closed_at, halted, waiting_for FROM change WHERE id = $1',
        [changeId],
      );
      const [row] = rows;
      stages[row.stage] ??= round((Date.now() - askedAt) / 1_000);
      outcome = row.outcome;
      closedAt = row.closed_at?.getTime() ?? 0;
      const { rows: halted } = await pool.query(
        'SELECT ordinal, halt_reason FROM ring WHERE change_id = $1 AND halted',
        [changeId],
      );
      if (halted.length > 0) throw new Error(`ring ${halted[0].ordinal} halted: ${halted[0].halt_reason}`);
      return row.closed_at !== null;
    },
    250,
  );
  const { rows: rings } = await pool.query(
    `SELECT home_ring AS ring, count(*)::int AS endpoints, min(released_at) AS first, max(settled_at) AS last,
            count(*) FILTER (WHERE state = 'succeeded')::int AS succeeded
       FROM order_state WHERE change_id = $1 AND kind = 'change' GROUP BY 1 ORDER BY 1`,
    [changeId],
  );
  const sum = (pick: (row: { endpoints: number; succeeded: number }) => number) =>
    rings.reduce((total, row) => total + pick(row), 0);
  const since = (at: number) => round((at - askedAt) / 1_000);
  const endpoints = sum((row) => row.endpoints);
  return {
    endpoints,
    succeeded: sum((row) => row.succeeded),
    failed: endpoints - sum((row) => row.succeeded),
    outcome,
    seconds: {
      firstRelease: since(Math.min(...rings.map((row) => row.first.getTime()))),
      lastSettled: since(Math.max(...rings.map((row) => row.last.getTime()))),
      closed: since(closedAt),
    },
    stages,
    rings: rings.map((row) => {
      const seconds = (row.last.getTime() - row.first.getTime()) / 1_000;
      return {
        ring: row.ring,
        endpoints: row.endpoints,
        seconds: round(seconds),
        perSecond: round(row.endpoints / Math.max(seconds, 0.001), 0),
      };
    }),
  };
}

/** Events of every history a change left. */
export async function historiesOf(
  installation: Installation,
  changeId: string,
): Promise<Readonly<Record<string, number>>> {
  const connection = await Connection.connect({ address: installation.temporalAddress });
  try {
    const client = new Client({ connection });
    const ids = [
      changeWorkflowId(changeId),
      ...[...SHARES.keys(), STRAGGLERS].map((ring) => ringWorkflowId({ changeId, ring, attempt: 1 })),
    ];
    const lengths: Record<string, number> = {};
    for (const id of ids) {
      const described = await client.workflow
        .getHandle(id)
        .describe()
        .catch(() => null);
      if (described !== null) lengths[id.replace(changeId, '…')] = described.historyLength;
    }
    return lengths;
  } finally {
    await connection.close();
  }
}
