import type { DeclinedFinding } from '../db/baseline/declined-rules.js';
import type { Claim, Finding } from '../db/plan/proof.js';
import type { Queryable } from '../db/pool.js';
import type { LoadedChange, StageDeps } from './stage-deps.js';

/** What fresh scans prove, and what they don't. */
export interface Proof {
  readonly claims: readonly Claim[];
  readonly unscanned: readonly Claim[];
  /** Findings that do not prove their update, each with the reason. */
  readonly unproven: readonly (Finding & { readonly reason: string })[];
  /** Endpoints with at least one unproven update. */
  readonly missing: readonly string[];
  /** What endpoints left out by their own decision, each with the reason. */
  readonly declined: readonly DeclinedFinding[];
}

/** Compares what is planned with what scans since have found; each distinct pair of versions is compared once. */
export async function judgeProof(deps: StageDeps, loaded: LoadedChange, client: Queryable): Promise<Proof> {
  const changeId = loaded.change.id;
  const { evidence } = loaded.kind;
  const context = loaded.context(client);
  const claims = await (evidence?.claims(context) ?? deps.db.loadClaims(client, changeId));
  const findings = await (evidence?.findings(context) ?? deps.db.loadFindings(client, changeId));
  const unproven = findings.flatMap((finding) => {
    const reason = loaded.kind.judge(finding, finding.installed);
    return reason === null ? [] : [{ ...finding, reason }];
  });
  return {
    claims,
    unscanned: claims.filter((claim) => !claim.scanned),
    unproven,
    missing: [...new Set(unproven.flatMap((finding) => finding.endpointIds))].sort(),
    declined: (await evidence?.declined?.(context)) ?? [],
  };
}
