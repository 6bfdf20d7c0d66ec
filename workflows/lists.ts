/**
 * What workflows say about themselves to lists in Temporal's UI: typed search attributes. A namespace that lacks them must
 * not hold work up, so the start alone decides: who was started with them (the server knew all of them) goes on showing
 * them, and gives them to its children; who was not never mentions them.
 */
import { defineSearchAttributeKey, type SearchAttributePair } from '@temporalio/common';
import { patched, upsertSearchAttributes, workflowInfo } from '@temporalio/workflow';
import type { ChangeStage } from '../domain/change/stage.js';
import type { Wait } from './messages.js';

const CHANGE = defineSearchAttributeKey('RmChange', 'KEYWORD');
const KIND = defineSearchAttributeKey('RmKind', 'KEYWORD');
const STAGE = defineSearchAttributeKey('RmStage', 'KEYWORD');
const WAITING_FOR = defineSearchAttributeKey('RmWaitingFor', 'KEYWORD');

/** All four of a child, as of its parent now; nothing where this workflow was started without them. */
export function childAttributes(waitingFor: Wait): {
  readonly typedSearchAttributes?: SearchAttributePair[];
} {
  if (!shown()) return {};
  const mine = workflowInfo().typedSearchAttributes;
  return {
    typedSearchAttributes: [
      ...[CHANGE, KIND, STAGE].map((key) => ({ key, value: mine.get(key) ?? 'unknown' })),
      { key: WAITING_FOR, value: waitingFor },
    ],
  };
}

/** Shows where this workflow is; costs one event, and none when nothing differs. `null`: it waits for nothing. */
export function showInLists(now: { readonly stage?: ChangeStage; readonly waitingFor: Wait | null }): void {
  if (!shown()) return;
  const before = workflowInfo().typedSearchAttributes;
  const stage = now.stage ?? before.get(STAGE) ?? null;
  if (stage === (before.get(STAGE) ?? null) && now.waitingFor === (before.get(WAITING_FOR) ?? null)) return;
  upsertSearchAttributes([
    { key: STAGE, value: stage },
    { key: WAITING_FOR, value: now.waitingFor },
  ]);
}

/** Also `patched`: an older worker may have run the first tasks of a workflow started by a newer relay. */
function shown(): boolean {
  return workflowInfo().typedSearchAttributes.get(CHANGE) !== undefined && patched('search-attributes');
}
