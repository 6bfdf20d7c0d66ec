/** Who takes part in a change, and who does not and why (design §3: an endpoint with no policy gets no change). */
import type { Group, Selectable, Selector } from '../fleet/selector.js';
import { matches } from '../fleet/selector.js';
import type { PolicySet } from '../policy/policy-set.js';
import { resolvePolicy } from '../policy/resolve.js';
import type { EpochMs } from '../time.js';

/** An endpoint as planning sees it. */
export interface ScopeEndpoint extends Selectable {
  readonly state: 'active' | 'quarantined' | 'retired';
  readonly stateReason: string | null;
  readonly scanOnly: boolean;
  readonly simulated: boolean;
  readonly holdUntil: EpochMs | null;
  readonly holdReason: string | null;
  /** When the last complete scan was received; null when there was none. */
  readonly scannedAt: EpochMs | null;
  /** Why the very last scan was incomplete; null when it was complete, or there was none. */
  readonly incompleteReason: string | null;
  /** Of the last complete scan: 'apt', … */
  readonly provider: string | null;
}

export interface InScope {
  readonly endpoint: ScopeEndpoint;
  readonly policy: PolicySet;
  readonly policyReason: string;
}

export interface ScopeDecision {
  readonly included: readonly InScope[];
  /** Selected by the change, but left out. */
  readonly excluded: readonly { readonly endpointId: string; readonly reason: string }[];
}

/**
 * Decides each endpoint the scope selects. Simulated endpoints never share a change with real ones: their "successes"
 * would carry a ring over its threshold.
 */
export function decideScope(args: {
  readonly endpoints: readonly ScopeEndpoint[];
  readonly scope: Selector;
  readonly groups: ReadonlyMap<string, Group>;
  readonly policies: readonly PolicySet[];
  readonly deadline: EpochMs;
}): ScopeDecision {
  const selected = args.endpoints.filter((endpoint) =>
    matches({ endpoint, selector: args.scope, groups: args.groups }),
  );
  const included: InScope[] = [];
  const excluded: { endpointId: string; reason: string }[] = [];
  const anyReal = selected.some((endpoint) => !endpoint.simulated && unfit(endpoint, args.deadline) === null);
  for (const endpoint of selected) {
    const reason =
      unfit(endpoint, args.deadline) ??
      (endpoint.simulated && anyReal ? 'simulated, and the change has real endpoints in scope' : null);
    if (reason !== null) {
      excluded.push({ endpointId: endpoint.id, reason });
      continue;
    }
    const resolved = resolvePolicy({ endpoint, policies: args.policies, groups: args.groups });
    if (resolved.kind === 'none') excluded.push({ endpointId: endpoint.id, reason: resolved.reason });
    else included.push({ endpoint, policy: resolved.policy, policyReason: resolved.reason });
  }
  return { included, excluded };
}

/** Whether the endpoint's last complete scan is recent enough, and no incomplete one came after it. */
export function isFresh(endpoint: ScopeEndpoint, now: EpochMs, maxAgeMs: number): boolean {
  return endpoint.scannedAt !== null && endpoint.incompleteReason === null && endpoint.scannedAt >= now - maxAgeMs;
}

function unfit(endpoint: ScopeEndpoint, deadline: EpochMs): string | null {
  if (endpoint.state !== 'active') {
    return endpoint.stateReason === null ? endpoint.state : `${endpoint.state}: ${endpoint.stateReason}`;
  }
  if (endpoint.scanOnly) return 'enrolled for scans only';
  if (endpoint.holdUntil !== null && endpoint.holdUntil >= deadline) {
    return `on hold beyond the change's deadline: ${endpoint.holdReason ?? 'no reason given'}`;
  }
  return null;
}
