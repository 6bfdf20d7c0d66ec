/** What `ringmaster migrate` is told from outside: the database, the roles' passwords, and Temporal if it shall be prepared, too. */
import { readSecret, secretFile, withPassword } from '../../db/secret-files.js';
import type { DatabasePasswords } from '../up/database-roles.js';
import { UpError } from '../up/errors.js';

export type MigrateSettings = Readonly<{
  database:
    | {
        /** Roles and the database are made where missing, as a role that may do that. */
        readonly kind: 'administer';
        readonly adminUrl: string;
        readonly passwords: Omit<DatabasePasswords, 'superuser'>;
      }
    | {
        /** Roles and database are there; only the schema is brought up to date, as its owner. */
        readonly kind: 'own';
        readonly ownerUrl: string;
      };
  temporal: { readonly address: string; readonly namespace: string } | null;
}>;

/** @throws UpError naming the variable that is missing or can't be understood. */
export function readMigrateSettings(env: NodeJS.ProcessEnv): MigrateSettings {
  try {
    return { database: readDatabase(env), temporal: readTemporal(env) };
  } catch (error) {
    if (error instanceof UpError) throw error;
    throw new UpError((error as Error).message);
  }
}

function readDatabase(env: NodeJS.ProcessEnv): MigrateSettings['database'] {
  const admin = given(env, 'DATABASE_ADMIN_URL');
  if (admin === undefined) {
    const owner = given(env, 'DATABASE_URL');
    if (owner === undefined) {
      throw new UpError('neither DATABASE_ADMIN_URL nor DATABASE_URL is set', [
        'DATABASE_ADMIN_URL: a role that may make roles and databases; ours are then made and kept right.',
        'DATABASE_URL: the owner of a database that is there already, with the roles ringmaster_api and ringmaster_worker.',
      ]);
    }
    const password = secretFile(env.DATABASE_PASSWORD_FILE, 'DATABASE_PASSWORD_FILE');
    return { kind: 'own', ownerUrl: postgresUrl('DATABASE_URL', owner, password) };
  }
  const password = secretFile(env.DATABASE_ADMIN_PASSWORD_FILE, 'DATABASE_ADMIN_PASSWORD_FILE');
  return {
    kind: 'administer',
    adminUrl: postgresUrl('DATABASE_ADMIN_URL', admin, password),
    passwords: {
      owner: rolePassword(env, 'owner'),
      api: rolePassword(env, 'api'),
      worker: rolePassword(env, 'worker'),
    },
  };
}

function rolePassword(env: NodeJS.ProcessEnv, role: 'owner' | 'api' | 'worker'): string {
  const name = `RINGMASTER_${role.toUpperCase()}_PASSWORD`;
  const password = readSecret(env, name) ?? given(env, name);
  if (password === undefined) throw new UpError(`${name}_FILE is not set: the file with the password of the role`);
  if (password.length < 16) throw new UpError(`${name} must have at least 16 characters`);
  return password;
}

function readTemporal(env: NodeJS.ProcessEnv): MigrateSettings['temporal'] {
  const address = given(env, 'TEMPORAL_ADDRESS');
  if (address === undefined) return null;
  if (!/^[^\s/]+:\d+$/.test(address)) throw new UpError(`TEMPORAL_ADDRESS must look like host:7233, not "${address}"`);
  return { address, namespace: given(env, 'TEMPORAL_NAMESPACE') ?? 'default' };
}

function postgresUrl(name: string, url: string, password: string | undefined): string {
  if (!URL.canParse(url) || !/^postgres(ql)?:$/.test(new URL(url).protocol))
    throw new UpError(`${name} must look like postgresql://role@host:5432/database`);
  return password === undefined ? url : withPassword(url, password);
}

function given(env: NodeJS.ProcessEnv, name: string): string | undefined {
  return env[name] === undefined || env[name] === '' ? undefined : env[name];
}
