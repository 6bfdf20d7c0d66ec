import type { Pool } from 'pg';
import { createApprovalActivities } from '../activities/approvals.js';
import type { CatalogueActivities } from '../activities/catalogue.js';
import type { Activities } from '../activities/contract.js';
import { agentUpdateKind } from '../activities/kinds/agent-update/index.js';
import { changeKinds } from '../activities/kinds/change-kind.js';
import { patchKind } from '../activities/kinds/patch/index.js';
import { remediationKind } from '../activities/kinds/remediation/index.js';
import { createRingActivities } from '../activities/rings.js';
import type { ContentSource } from '../activities/stage-deps.js';
import { createStageActivities } from '../activities/stages.js';
import { whenLines } from '../activities/when-lines.js';
import { renderApprovalMail, renderCodeMail } from '../adapters/mail/approval-mail.js';
import { readHoursGroups } from '../db/approvals/hours.js';
import * as approvalsDb from '../db/approvals/index.js';
import type { Listener } from '../db/listen.js';
import * as ordersDb from '../db/orders/index.js';
import { documentsFor } from '../db/plan/documents.js';
import * as stagesDb from '../db/stages.js';
import { formatInstant } from '../domain/schedule/index.js';
import type { EpochMs } from '../domain/time.js';
import { changeWorkflowId } from '../workflows/ids.js';
import type { WorkerKeys } from './keys.js';
import type { WorkerSettings } from './settings.js';
import { createSigner } from './signer.js';

/** Every kind of change there is. */
export const CHANGE_KINDS = changeKinds([patchKind as never, agentUpdateKind as never, remediationKind as never]);

/** Every activity, constructed once. */
export function composeActivities(deps: {
  readonly pool: Pool;
  /** For the orders' lanes. */
  readonly pumps: Pool;
  readonly keys: WorkerKeys;
  readonly content: ContentSource;
  readonly catalogue: CatalogueActivities;
  readonly settings: WorkerSettings;
  readonly clock: () => EpochMs;
  readonly listener: Listener;
  readonly wakeMail: () => void;
}): Activities {
  const { pool, clock } = deps;
  return {
    ...createStageActivities({
      pool,
      clock,
      changeWorkflowId,
      db: stagesDb,
      kinds: CHANGE_KINDS,
      content: deps.content,
      refreshCatalogue: async () => {
        await deps.catalogue.refreshCatalogue();
      },
    }),
    ...createRingActivities({
      pool: deps.pumps,
      clock,
      orders: ordersDb,
      signer: createSigner(() => deps.keys.signing),
      documentsFor,
      listener: deps.listener,
    }),
    ...createApprovalActivities({
      pool,
      clock,
      stores: approvalsDb,
      codesKey: deps.keys.codes,
      publicUrl: deps.settings.publicUrl,
      whenLines: (args) => whenLines({ pool, readHoursGroups, loadFreezeTexts: ordersDb.loadFreezeTexts }, args),
      formatInstant,
      renderApprovalMail,
      renderCodeMail,
      wakeMail: deps.wakeMail,
    }),
  };
}
