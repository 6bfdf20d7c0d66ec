/** Ticket systems as objects to work with: settings read, secret opened. One that can't be is told of, and left alone. */
import type { Pool } from 'pg';
import { type TicketSystem, TrackerAway } from '../../adapters/tickets/port.js';
import { TICKET_PROVIDERS } from '../../adapters/tickets/registry.js';
import { hurryActions } from '../../db/tickets/actions.js';
import { loadActiveSystems, noteAway, noteBack, noteChecked, type WorkingSystem } from '../../db/tickets/systems.js';
import { pauseOfSystem } from '../../domain/ticket/retry.js';
import { openSecret, type SealingKey } from '../../domain/ticket/sealed-secret.js';
import { type EpochMs, MINUTE } from '../../domain/time.js';

export interface TicketDeps {
  readonly pool: Pool;
  readonly clock: () => EpochMs;
  readonly sealingKey: SealingKey;
  readonly publicUrl: string;
  readonly log: { warn(fields: object, message: string): void };
  /** Ends requests under way when the worker stops. */
  readonly signal?: AbortSignal;
}

export interface ReadySystem {
  readonly row: WorkingSystem;
  readonly port: TicketSystem;
}

/** Systems that can be worked with now: set up rightly, and not paused because they were away a moment ago. */
export async function readySystems(deps: TicketDeps): Promise<readonly ReadySystem[]> {
  const ready: ReadySystem[] = [];
  for (const row of await loadActiveSystems(deps.pool)) {
    if (row.pausedUntil !== null && row.pausedUntil > deps.clock()) continue;
    const made = construct(deps, row);
    if ('problem' in made) {
      if (row.checkedVersion !== row.version || row.problem !== made.problem) await check(deps, row, made.problem);
      continue;
    }
    ready.push({ row, port: made.port });
  }
  return ready;
}

function construct(
  deps: TicketDeps,
  row: WorkingSystem,
): { readonly port: TicketSystem } | { readonly problem: string } {
  const provider = TICKET_PROVIDERS.get(row.provider);
  if (provider === undefined) return { problem: `there is no provider ${row.provider}` };
  const settings = provider.settings.safeParse(row.settings);
  if (!settings.success) {
    const [issue] = settings.error.issues;
    return { problem: `settings.${issue?.path.join('.')}: ${issue?.message}` };
  }
  if (row.secret === null) return { problem: `no secret was given: ${provider.secretIs}` };
  let secret: string;
  try {
    secret = openSecret({ key: deps.sealingKey, subject: `ticket-system/${row.id}`, sealed: row.secret });
  } catch (error) {
    return { problem: (error as Error).message };
  }
  const { clock, publicUrl, signal } = deps;
  const port = provider.create({
    settings: settings.data,
    secret,
    clock,
    publicUrl,
    ...(signal === undefined ? {} : { signal }),
  });
  return { port };
}

/** What does not work is looked at again so often: it may be mended on the other side. */
const CHECK_AGAIN_MS = MINUTE;

/**
 * Looks whether a set-up that is new, or did not work a minute ago, does, and says what is wrong with it.
 * @returns false when the system is away
 */
export async function checkSystem(deps: TicketDeps, { row, port }: ReadySystem): Promise<boolean> {
  const seen = row.checkedVersion === row.version;
  const old = (row.checkedAt ?? 0) + CHECK_AGAIN_MS <= deps.clock();
  if (seen && (row.problem === null || !old)) return true;
  try {
    await check(deps, row, await port.check());
  } catch (error) {
    if (error instanceof TrackerAway) {
      await pauseSystem(deps, row, error);
      return false;
    }
    await check(deps, row, (error as Error).message);
  }
  return true;
}

async function check(deps: TicketDeps, row: WorkingSystem, problem: string | null): Promise<void> {
  const { pool, log } = deps;
  const now = deps.clock();
  if (problem !== null && problem !== row.problem)
    log.warn({ system: row.name, problem }, 'a ticket system is not set up rightly');
  await noteChecked(pool, { systemId: row.id, version: row.version, problem, now });
  if (problem === null) await hurryActions(pool, { systemId: row.id, now });
}

/** Leaves a system alone for a while: it is away for all that is to be told, not for this alone. */
export async function pauseSystem(deps: TicketDeps, row: WorkingSystem, error: Error): Promise<void> {
  const now = deps.clock();
  const until = now + pauseOfSystem(row.failures + 1);
  if (row.failures === 0)
    deps.log.warn({ system: row.name, reason: error.message }, 'a ticket system is away; will try again');
  await noteAway(deps.pool, { systemId: row.id, error: error.message, until, now });
}

export const systemIsBack = (deps: TicketDeps, row: WorkingSystem): Promise<void> =>
  row.failures > 0 ? noteBack(deps.pool, row.id) : Promise.resolve();
