/** A security baseline as its SCAP data stream says it: one XCCDF 1.2 benchmark with its checks. Plain data, nothing decided. */

export type Severity = 'unknown' | 'info' | 'low' | 'medium' | 'high';

/** A piece of a fix script: text, or the value that a profile or tailoring decides. */
export type FixPart = string | { readonly value: string };

export interface BaselineFix {
  readonly parts: readonly FixPart[];
  /** The benchmark says that it takes effect with a reboot only. */
  readonly reboot: boolean;
}

export interface BaselineRule {
  /** As XCCDF has it: `xccdf_org.ssgproject.content_rule_sshd_disable_root_login`. */
  readonly id: string;
  readonly title: string;
  readonly severity: Severity;
  readonly description: string;
  readonly rationale: string;
  /** Sentences the authors warn with. */
  readonly warnings: readonly string[];
  readonly references: readonly { readonly href: string; readonly text: string }[];
  /** For `urn:xccdf:fix:script:sh`; null: there is none. */
  readonly fix: BaselineFix | null;
  /** Names an OVAL definition that the data stream holds. Without one nothing is ever tested. */
  readonly automated: boolean;
  /** Of what its check tests, with the values it is given (oval-digest.ts); null: nothing does. Left out: an earlier release imported it. */
  readonly check?: string | null;
  /** Ids of the values that its check is given. Left out: an earlier release imported it. */
  readonly checkValues?: readonly string[];
  readonly selected: boolean;
  /** Ids of the groups around it, outermost first. */
  readonly groups: readonly string[];
  readonly conflicts: readonly string[];
}

export interface BaselineValue {
  readonly id: string;
  readonly title: string;
  readonly type: 'string' | 'number' | 'boolean';
  /** By selector; '' is the one that counts when nobody selects. */
  readonly options: Readonly<Record<string, string>>;
}

/** One `select`, `refine-value` or `set-value` of a profile, in the order of the document: later ones win. */
export type ProfileStep =
  | { readonly kind: 'select'; readonly id: string; readonly selected: boolean }
  | { readonly kind: 'refine'; readonly id: string; readonly selector: string }
  | { readonly kind: 'set'; readonly id: string; readonly text: string };

export interface BaselineProfile {
  readonly id: string;
  readonly title: string;
  readonly description: string;
  readonly extends: string | null;
  readonly steps: readonly ProfileStep[];
}

export interface Benchmark {
  readonly id: string;
  readonly version: string;
  readonly title: string;
  readonly platforms: readonly string[];
  /** In the order of the document; a rule's place here is its number wherever results are kept. */
  readonly rules: readonly BaselineRule[];
  readonly groups: readonly { readonly id: string; readonly selected: boolean }[];
  readonly values: readonly BaselineValue[];
  readonly profiles: readonly BaselineProfile[];
}
