/** What applies to an endpoint: its hours, reboots, checks. No policy set → no change. */
import type { ApprovalRule } from '../approval/rule.js';
import type { Selector } from '../fleet/selector.js';

export interface PolicySet {
  readonly id: string;
  readonly version: number;
  readonly name: string;
  readonly precedence: number;
  readonly document: PolicyDocument;
}

export interface PolicyDocument {
  readonly appliesTo: Selector;
  /** domain/schedule Hours, as stored; parsed where it is used. */
  readonly hours: unknown;
  readonly freezeCalendars: readonly string[];
  readonly reboot: 'never' | 'ifNeeded' | 'always';
  /** What one order is expected to take; the last start is the window's close less this. */
  readonly expectedMinutes: number;
  readonly healthChecks: readonly unknown[];
  readonly hooks: readonly unknown[];
  /** Bytes per second while staging; null: no limit. */
  readonly stageRateLimit: number | null;
  /** How often the endpoint is measured by its baselines; left out: daily. */
  readonly revisitMinutes?: number | undefined;
  /** Asked before somebody's change to one endpoint alone begins (`POST /v1/endpoints/{id}/patch`); left out: nobody is. */
  readonly patchApprovals?: readonly ApprovalRule[] | undefined;
}

export type PolicyResolution =
  | { readonly kind: 'policy'; readonly policy: PolicySet; readonly reason: string }
  | { readonly kind: 'none'; readonly reason: string };
