/** `ringmaster migrate`: everything that must be in place before an api or a worker starts. Each step finds what is there already. */
import { migrate } from '../../db/migrate.js';
import { prepareDatabase } from '../up/database-roles.js';
import { reasonOf, UpError } from '../up/errors.js';
import type { MigrateSettings } from './settings.js';

/** @throws UpError saying what can't be reached or done. */
export async function prepareInstallation(settings: MigrateSettings, say: (line: string) => void): Promise<void> {
  const { database, temporal } = settings;
  const ownerUrl = database.kind === 'own' ? database.ownerUrl : await makeRoles(database);
  const ran = await migrate({ databaseUrl: ownerUrl });
  say(ran.length === 0 ? 'The schema is up to date.' : `Migrated: ${ran.join(', ')}.`);
  if (temporal === null) return;
  const { prepareNamespace } = await import('./namespace.js');
  await prepareNamespace({ ...temporal, say });
  say(`Temporal's namespace "${temporal.namespace}" is ready.`);
}

async function makeRoles(database: Extract<MigrateSettings['database'], { kind: 'administer' }>): Promise<string> {
  try {
    const { owner } = await prepareDatabase(database.adminUrl, { ...database.passwords, superuser: '' });
    return owner;
  } catch (cause) {
    throw new UpError(`the database can't be prepared: ${reasonOf(cause)}`, ['DATABASE_ADMIN_URL says where it is.'], {
      cause,
    });
  }
}
