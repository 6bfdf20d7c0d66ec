/** Of the API's answers about zero-days, what the command line reads. Times are ISO 8601 in UTC. */

export interface ZeroDayStarted {
  readonly id: string;
  /** Null: nothing can be done yet, and `note` says why. */
  readonly changeId: string | null;
  readonly exposed: number;
  readonly offered: number;
  readonly note: string;
}

export interface ZeroDaySummary {
  readonly id: string;
  readonly name: string;
  readonly reason: string;
  readonly dueAt: string;
  /** Until the due date; null once nobody is exposed. */
  readonly secondsLeft: number | null;
  readonly overdue: boolean;
  readonly counts: { readonly exposed: number; readonly fixed: number; readonly meanSecondsToPatch: number | null };
}

export interface ZeroDayDetail extends ZeroDaySummary {
  readonly changes: readonly {
    readonly id: string;
    readonly stage: string;
    readonly outcome: string | null;
    readonly waitingFor: string | null;
  }[];
  readonly standing: { readonly nextSteps: readonly { readonly endpoints: number; readonly text: string }[] };
}

export interface ExposedEndpoint {
  readonly name: string;
  readonly state: string;
  readonly reason: string;
}
