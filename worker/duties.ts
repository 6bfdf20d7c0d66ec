import type { Client } from '@temporalio/client';
import type { Pool } from 'pg';
import type { CatalogueActivities } from '../activities/catalogue.js';
import type { ChangeKinds } from '../activities/kinds/change-kind.js';
import { appendAudit } from '../db/audit/append.js';
import { sealAudit } from '../db/audit/seal.js';
import { haltChange } from '../db/orders/stop.js';
import { inTransaction } from '../db/pool.js';
import { dueForLook, lookAgain } from '../db/zero-day/look.js';
import type { SealingKey } from '../domain/ticket/sealed-secret.js';
import { type EpochMs, HOUR, MINUTE, SECOND } from '../domain/time.js';
import { watchDisks } from './disks.js';
import { writeHeartbeat } from './heartbeat.js';
import { lookedFor } from './look.js';
import type { Duty, DutyState } from './loops.js';
import { mailDuty } from './mail-duty.js';
import { reconcile } from './reconcile.js';
import { relayOutbox } from './relay.js';
import { applySchedules } from './schedules.js';
import type { WorkerSettings } from './settings.js';
import { ticketDuties } from './tickets/duties.js';

const SEAL_BATCH = 1_000;
const RELAY_BATCH = 50;

/** What a worker does beside activities. Any number of workers may do them at once; rows say who has what. */
export function composeDuties(deps: {
  readonly pool: Pool;
  /** Connections that routine work can't take. */
  readonly reserved: Pool;
  readonly client: Client;
  readonly catalogue: CatalogueActivities;
  readonly settings: WorkerSettings;
  readonly kinds: ChangeKinds;
  readonly sealingKey: SealingKey;
  /** Ends what is under way when the worker stops. */
  readonly signal: AbortSignal;
  readonly clock: () => EpochMs;
  /** How the duties have been doing, for the heartbeat to tell. */
  readonly states: () => readonly DutyState[];
  readonly log: { warn(fields: object, message: string): void; info(fields: object, message: string): void };
}): readonly Duty[] {
  const { pool, client, clock, catalogue, settings, log } = deps;
  let refreshed = 0;
  const disks = watchDisks(settings.watched);
  return [
    {
      name: 'heartbeat',
      everyMs: 5 * SECOND,
      run: async () => {
        const { diskReserveBytes } = settings;
        await writeHeartbeat({ pool, client, now: clock(), duties: deps.states(), disks, diskReserveBytes });
        return false;
      },
    },
    {
      ...lookedFor('outbox'),
      run: async () => (await relayOutbox({ pool, client, clock, log }, RELAY_BATCH)) === RELAY_BATCH,
    },
    {
      // Nothing urgent waits behind a batch of routine, not even for a moment.
      ...lookedFor('outbox-expedited'),
      run: async () =>
        (await relayOutbox({ pool: deps.reserved, client, clock, log }, RELAY_BATCH, { expeditedOnly: true })) ===
        RELAY_BATCH,
    },
    {
      name: 'zero-days',
      everyMs: 3 * SECOND,
      run: async () => {
        for (const id of await dueForLook(pool, clock())) await lookAgain(pool, { id, now: clock() });
        return false;
      },
    },
    { ...lookedFor('audit'), run: async () => (await sealAudit(pool, SEAL_BATCH)) === SEAL_BATCH },
    mailDuty({ pool, clock, settings, log }),
    ...ticketDuties({
      pool,
      clock,
      log,
      kinds: deps.kinds,
      sealingKey: deps.sealingKey,
      publicUrl: settings.publicUrl,
      signal: deps.signal,
    }),
    {
      name: 'schedules',
      everyMs: 10 * SECOND,
      run: async () => {
        const refresh = clock() - refreshed > 24 * HOUR;
        await applySchedules({ pool, client, now: clock(), refresh });
        if (refresh) refreshed = clock();
        return false;
      },
    },
    {
      name: 'catalogue',
      everyMs: MINUTE,
      run: async () => {
        if (settings.defaultRepositories) await catalogue.registerDefaultRepositories();
        await catalogue.refreshCatalogue();
        return false;
      },
    },
    {
      name: 'reconciler',
      everyMs: MINUTE,
      run: async () => {
        await reconcile({
          pool,
          client,
          appendAudit,
          haltChange: async (args) => {
            await inTransaction(pool, (db) => haltChange(db, { ...args, verb: 'pause', now: clock() }));
          },
        });
        return false;
      },
    },
  ];
}
