/**
 * A backup brings back the trust of its day: a signing key that was revoked since would be believed again. Who restores says
 * which were, or that none was; a restore that is told neither stops before it touches anything.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { type KeySetDocument, keySetDocument } from '../../protocol/messages.js';
import { UpError } from '../up/errors.js';
import type { Manifest } from './manifest.js';

export interface RevocationAnswer {
  /** Ids, or the first characters of them. */
  readonly revoke: readonly string[];
  readonly noneRevoked: boolean;
}

/** @returns whole ids of the keys to be revoked. @throws UpError when nothing was said, or not something that can be */
export function keysToRevoke(args: {
  readonly folder: string;
  readonly manifest: Manifest;
  readonly answer: RevocationAnswer;
  readonly now: number;
}): readonly string[] {
  const { answer, manifest } = args;
  if (answer.noneRevoked && answer.revoke.length > 0)
    throw new UpError('--revoke and --none-revoked contradict each other');
  const believed = believedKeys(args);
  const list = believed.map((keyid) => `  ${keyid}`);
  if (believed.length === 0 || answer.noneRevoked) return [];
  if (answer.revoke.length === 0) {
    throw new UpError(`endpoints will believe again what the keys of backup ${manifest.id} sign`, [
      ...list,
      'Say which of them were revoked since (--revoke KEY, for each), or --none-revoked.',
    ]);
  }
  return answer.revoke.map((text) => {
    const found = believed.filter((keyid) => keyid.startsWith(text));
    if (found.length === 1) return found[0] as string;
    throw new UpError(
      found.length === 0
        ? `--revoke ${text}: the backup believes no such key; one that was made after it needs no revoking`
        : `--revoke ${text} fits more than one key`,
      list,
    );
  });
}

/** The keys that the newest set of the backup says are good now. */
function believedKeys(args: {
  readonly folder: string;
  readonly manifest: Manifest;
  readonly now: number;
}): readonly string[] {
  const table = args.manifest.database.tables.find(({ name }) => name === 'key_set');
  if (table === undefined) return [];
  const [version, envelope] = ['version', 'envelope'].map((column) => table.columns.indexOf(column)) as [
    number,
    number,
  ];
  const rows = gunzipSync(readFileSync(join(args.folder, table.file)))
    .toString('utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.split('\t').map(unescaped));
  const newest = rows.sort((a, b) => Number(b[version]) - Number(a[version]))[0];
  if (newest === undefined) return [];
  const { keys } = keySetOf(JSON.parse(newest[envelope] as string));
  return keys.filter((key) => !key.revoked && key.notAfter > args.now).map(({ keyid }) => keyid);
}

/** A field as COPY writes it: only a backslash needs undoing in what JSON can hold. */
const unescaped = (field: string): string => field.replaceAll('\\\\', '\\');

export function keySetOf(envelope: { readonly payload: string }): KeySetDocument {
  return keySetDocument.parse(JSON.parse(Buffer.from(envelope.payload, 'base64').toString('utf8')));
}
