import { DATABASE, type DatabaseUrls, keepPasswords, urlsOf } from './database-roles.js';
import { makeDataFolders, type UpSettings } from './settings.js';

/** `DATABASE_URL`, or the database that `ringmaster up` runs for this data folder, as one of its roles. */
export function databaseUrlOf(settings: UpSettings, role: keyof DatabaseUrls): string {
  if (settings.databaseUrl !== undefined) return settings.databaseUrl;
  const base = `postgresql://127.0.0.1:${settings.ports.postgres}`;
  const passwords = keepPasswords(makeDataFolders(settings.dataDir).keys);
  return urlsOf({ base, database: DATABASE, passwords })[role];
}
