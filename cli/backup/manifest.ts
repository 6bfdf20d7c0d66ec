/** What a backup says of itself: every file with its digest, so that a damaged one is known before anything is replaced. */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { UpError } from '../up/errors.js';

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
/** Below the backup's own folder; never out of it. */
const relativePath = z.string().regex(/^(?!.*\.\.)[A-Za-z0-9_][A-Za-z0-9_./-]*$/);
const name = z.string().regex(/^[a-z_][a-z0-9_]*$/);

const schema = z.strictObject({
  format: z.literal(1),
  id: z.string().regex(/^[0-9TZ-]+$/),
  /** The moment it is of, epoch ms. */
  at: z.number().int().positive(),
  version: z.string(),
  files: z.array(z.strictObject({ path: relativePath, sha256, bytes: z.number().int().nonnegative() })),
  database: z.strictObject({
    migrations: z.array(z.string()).min(1),
    tables: z.array(z.strictObject({ name, columns: z.array(name).min(1), file: relativePath })),
    sequences: z.array(z.strictObject({ table: name, column: name, value: z.string().regex(/^\d+$/) })),
  }),
  /** `embedded`: its data is in here; `elsewhere`: whoever runs it backs it up. */
  temporal: z.enum(['embedded', 'elsewhere']),
  secrets: z.boolean(),
});
export type Manifest = z.infer<typeof schema>;

const MANIFEST = 'manifest.json';
/** Digests and sizes of the content files it needs; they lie beside all backups of a folder, each once. */
export const CONTENT_LIST = 'content.list';

export const contentPath = (dir: string, digest: string): string =>
  join(dir, 'content', digest.slice(0, 2), digest.slice(2, 4), digest);

/** The last thing written: a folder without it is no backup. */
export function writeManifest(folder: string, manifest: Manifest): void {
  const text = `${JSON.stringify(schema.parse(manifest), undefined, 2)}\n`;
  writeFileSync(
    join(folder, `${MANIFEST}.sha256`),
    `${createHash('sha256').update(text).digest('hex')}  ${MANIFEST}\n`,
    {
      mode: 0o600,
    },
  );
  writeFileSync(join(folder, MANIFEST), text, { mode: 0o600 });
}

/** @throws UpError naming what is wrong with it. */
export function readManifest(folder: string): Manifest {
  let text: string;
  let noted: string;
  try {
    text = readFileSync(join(folder, MANIFEST), 'utf8');
    noted = readFileSync(join(folder, `${MANIFEST}.sha256`), 'utf8').slice(0, 64);
  } catch (cause) {
    throw new UpError(`${folder} is no backup: ${(cause as Error).message}`, [], { cause });
  }
  if (createHash('sha256').update(text).digest('hex') !== noted) throw new UpError(`${folder}/${MANIFEST} is damaged`);
  const parsed = schema.safeParse(JSON.parse(text));
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new UpError(`${folder}/${MANIFEST} is of another release: ${issue?.path.join('.')}: ${issue?.message}`);
}

/** The backups in a folder, oldest first. */
export function listBackups(dir: string): string[] {
  if (!existsSync(dir)) return [];
  return readdirSync(dir)
    .filter((entry) => /^[0-9]{4}-[0-9TZ-]+$/.test(entry) && existsSync(join(dir, entry, MANIFEST)))
    .sort();
}

/** The folder of one backup, the newest by default. @throws UpError when there is none */
export function findBackup(dir: string, id: string | undefined): string {
  const all = listBackups(dir);
  const wanted = id ?? all.at(-1);
  if (wanted === undefined) throw new UpError(`there is no backup in ${dir}`);
  if (!all.includes(wanted))
    throw new UpError(`there is no backup ${wanted} in ${dir}`, [`There are: ${all.join(', ')}`]);
  return join(dir, wanted);
}

export interface ContentEntry {
  readonly sha256: string;
  readonly bytes: number;
}

export function readContentList(folder: string): readonly ContentEntry[] {
  const lines = readFileSync(join(folder, CONTENT_LIST), 'utf8').split('\n').slice(0, -1);
  return lines.map((line) => {
    const match = /^([0-9a-f]{64}) (\d+)$/.exec(line);
    if (match === null) throw new UpError(`${folder}/${CONTENT_LIST} is damaged`);
    return { sha256: match[1] as string, bytes: Number(match[2]) };
  });
}

/** Reads every byte of it. @returns what is missing or differs, one line each; empty: it is whole */
export async function checkBackup(dir: string, folder: string, manifest: Manifest): Promise<readonly string[]> {
  const wrong: string[] = [];
  const check = async (path: string, wanted: { readonly sha256: string; readonly bytes: number }) => {
    const is = existsSync(path) ? await digestFile(path) : null;
    if (is === null) wrong.push(`${path} is missing`);
    else if (is !== wanted.sha256 || statSync(path).size !== wanted.bytes) wrong.push(`${path} is damaged`);
  };
  for (const file of manifest.files) await check(join(folder, file.path), file);
  if (wrong.length > 0) return wrong;
  for (const entry of readContentList(folder)) await check(contentPath(dir, entry.sha256), entry);
  return wrong;
}

/** SHA-256 of a file, hex. */
export async function digestFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
