import { isAbsolute, join } from 'node:path';
import { z } from 'zod';
import type { WatchedFolder } from './disks.js';

const schema = z.object({
  DATABASE_URL: z.string().min(1),
  TEMPORAL_ADDRESS: z.string().min(1),
  TEMPORAL_NAMESPACE: z.string().min(1).default('default'),
  RINGMASTER_DATA: z.string().min(1),
  RINGMASTER_KEYS_DIR: z.string().min(1),
  RINGMASTER_HOOKS: z.string().min(1).optional(),
  RINGMASTER_HOST: z.string().default('127.0.0.1'),
  RINGMASTER_PORT: z.coerce.number().int().min(1).max(65_535).default(8420),
  RINGMASTER_PUBLIC_URL: z.url().optional(),
  RINGMASTER_METRICS_PORT: z.coerce.number().int().min(1).max(65_535).optional(),
  RINGMASTER_SMTP_URL: z.url().optional(),
  RINGMASTER_DISKS: z.string().default('').transform(readFolders),
  RINGMASTER_DISK_RESERVE_MIB: z.coerce.number().int().min(1).max(1_048_576).default(512),
  RINGMASTER_DEFAULT_REPOSITORIES: z.enum(['on', 'off']).default('on'),
  RINGMASTER_MAIL_FROM: z.string().default('Ringmaster <ringmaster@localhost>'),
});

export interface WorkerSettings {
  readonly databaseUrl: string;
  readonly temporalAddress: string;
  readonly temporalNamespace: string;
  readonly dataDir: string;
  readonly contentDir: string;
  readonly keysDir: string;
  /** Whose disks are watched: the content store's, and those that are named. */
  readonly watched: readonly WatchedFolder[];
  /** Of each of them, never to be used by what is fetched. */
  readonly diskReserveBytes: number;
  /** Where hooks that run on the server are installed. */
  readonly hooksDir: string;
  /** Base of links in mails, without a trailing slash. */
  readonly publicUrl: string;
  readonly metricsPort: number | undefined;
  readonly smtpUrl: string | undefined;
  readonly mailFrom: string;
  /** Take over the package sources this server itself installs from; off where an operator names all repositories. */
  readonly defaultRepositories: boolean;
}

/** @throws Error that names each variable and what is wrong with it. */
export function readSettings(env: NodeJS.ProcessEnv): WorkerSettings {
  const parsed = schema.safeParse(env);
  if (!parsed.success) {
    throw new Error(parsed.error.issues.map((i) => `${i.path.join('.')}: ${i.message}`).join('; '));
  }
  const v = parsed.data;
  return {
    databaseUrl: v.DATABASE_URL,
    temporalAddress: v.TEMPORAL_ADDRESS,
    temporalNamespace: v.TEMPORAL_NAMESPACE,
    dataDir: v.RINGMASTER_DATA,
    contentDir: join(v.RINGMASTER_DATA, 'content'),
    keysDir: v.RINGMASTER_KEYS_DIR,
    watched: [{ name: 'content', path: join(v.RINGMASTER_DATA, 'content') }, ...v.RINGMASTER_DISKS],
    diskReserveBytes: v.RINGMASTER_DISK_RESERVE_MIB * 1024 ** 2,
    hooksDir: v.RINGMASTER_HOOKS ?? join(v.RINGMASTER_DATA, 'hooks'),
    publicUrl: (v.RINGMASTER_PUBLIC_URL ?? `http://${v.RINGMASTER_HOST}:${v.RINGMASTER_PORT}`).replace(/\/$/, ''),
    metricsPort: v.RINGMASTER_METRICS_PORT,
    smtpUrl: v.RINGMASTER_SMTP_URL,
    mailFrom: v.RINGMASTER_MAIL_FROM,
    defaultRepositories: v.RINGMASTER_DEFAULT_REPOSITORIES === 'on',
  };
}

/** `postgresql=/var/lib/postgresql,temporal=/var/lib/temporal`; a comma that no name follows belongs to a folder. */
function readFolders(text: string, context: z.RefinementCtx): WatchedFolder[] {
  const parts = text.split(/,(?=\s*(?:[a-z][a-z0-9-]*=|$))/).filter((part) => part.trim() !== '');
  return parts.map((part) => {
    const [, name = '', path = ''] = /^\s*([a-z][a-z0-9-]*)=(.*?)\s*$/.exec(part) ?? [];
    if (!isAbsolute(path)) context.addIssue(`must look like name=/folder,name=/folder; "${part.trim()}" does not`);
    return { name, path };
  });
}
