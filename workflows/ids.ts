/** Workflow ids are functions of ours, so a resend finds what it started; each with its inverse where one is needed. */

export const TASK_QUEUE = 'ringmaster';
/** Changes of high priority, their rings and approvals: polled by slots that routine work can't take. */
export const EXPEDITED_TASK_QUEUE = 'ringmaster-expedited';

export function changeWorkflowId(changeId: string): string {
  return `change/${changeId}`;
}

/** `attempt` counts what runs over one ring: its rollout is 1, later retries and rollbacks follow. */
export function ringWorkflowId(args: {
  readonly changeId: string;
  readonly ring: number;
  readonly attempt: number;
}): string {
  const base = `change/${args.changeId}/ring/${args.ring}`;
  return args.attempt === 1 ? base : `${base}/try-${args.attempt}`;
}

export function approvalWorkflowId(args: {
  readonly changeId: string;
  readonly ring: number;
  readonly requestId: string;
}): string {
  return `change/${args.changeId}/ring/${args.ring}/approval/${args.requestId}`;
}

export function scheduleId(id: string): string {
  return `schedule/${id}`;
}

export type WorkflowIdParts =
  | { readonly kind: 'change'; readonly changeId: string }
  | { readonly kind: 'ring'; readonly changeId: string; readonly ring: number; readonly attempt: number }
  | { readonly kind: 'approval'; readonly changeId: string; readonly ring: number; readonly requestId: string };

const PATTERN = /^change\/([0-9a-f-]{36})(?:\/ring\/(\d+)(?:\/try-(\d+)|\/approval\/([0-9a-f-]{36}))?)?$/;

/** The inverse of the functions above; undefined for an id that is not ours. */
export function parseWorkflowId(id: string): WorkflowIdParts | undefined {
  const match = PATTERN.exec(id);
  if (match === null) return undefined;
  const [, changeId, ring, attempt, requestId] = match;
  if (changeId === undefined) return undefined;
  if (ring === undefined) return { kind: 'change', changeId };
  if (requestId !== undefined) return { kind: 'approval', changeId, ring: Number(ring), requestId };
  return { kind: 'ring', changeId, ring: Number(ring), attempt: attempt === undefined ? 1 : Number(attempt) };
}
