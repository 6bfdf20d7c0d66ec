/** Where a change is, and how it ended; the words of `change.stage` and `change.outcome`. */
export type ChangeStage = 'requested' | 'discover' | 'obtain' | 'test' | 'prepare' | 'deploy' | 'confirm' | 'closed';

export type ChangeOutcome =
  | 'completed'
  | 'completedWithFailures'
  | 'nothingToDo'
  | 'rolledBack'
  | 'aborted'
  | 'expired'
  | 'failed';
