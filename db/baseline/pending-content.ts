/** Bytes that are in rows and belong into the content store, which only the worker writes. */
import type { EpochMs } from '../../domain/time.js';
import type { Queryable } from '../pool.js';

export interface PendingFile {
  readonly sha256: string;
  readonly size: number;
  readonly what: string;
  /** The bytes; compressed by gzip where `packed`. */
  readonly bytes: Buffer;
  readonly packed: boolean;
  readonly from: { readonly version: string } | { readonly checklist: number } | { readonly packageList: string };
}

const PENDING = {
  version: 'v.stored_at IS NULL AND v.document IS NOT NULL',
  tailoring: 'tailoring_text IS NOT NULL AND stored_at IS NULL',
  packageList: 'stored_at IS NULL',
} as const;

/** SQL: there is one that is not stored yet. */
export const FILE_PENDING = `(EXISTS (SELECT FROM baseline_version v WHERE ${PENDING.version})
  OR EXISTS (SELECT FROM checklist WHERE ${PENDING.tailoring}) OR EXISTS (SELECT FROM package_list WHERE ${PENDING.packageList}))`;

/** One that is not stored yet; null: all are. */
export async function nextPendingFile(db: Queryable): Promise<PendingFile | null> {
  const { rows } = await db.query(
    `SELECT v.id AS version, v.sha256, v.size, b.name || ' v' || v.number AS what, v.document FROM baseline_version v
       JOIN baseline b ON b.id = v.baseline_id WHERE ${PENDING.version} ORDER BY v.imported_at LIMIT 1`,
  );
  const [version] = rows;
  if (version !== undefined) {
    const { sha256, size, what, document } = version;
    return { sha256, size, what, bytes: document, packed: true, from: { version: version.version } };
  }
  const { rows: tailored } = await db.query(
    `SELECT id, name, tailoring_sha256, tailoring_size, tailoring_text FROM checklist
      WHERE ${PENDING.tailoring} ORDER BY id LIMIT 1`,
  );
  const [checklist] = tailored;
  if (checklist === undefined) return nextPackageList(db);
  return {
    sha256: checklist.tailoring_sha256,
    size: checklist.tailoring_size,
    what: `tailoring of ${checklist.name}`,
    bytes: Buffer.from(checklist.tailoring_text, 'utf8'),
    packed: false,
    from: { checklist: checklist.id },
  };
}

/** A list that was frozen after it had been obtained in another form: an index has changed in between. */
async function nextPackageList(db: Queryable): Promise<PendingFile | null> {
  const { rows } = await db.query<{ sha256: string; size: number; packages: number; body: string }>(
    `SELECT sha256, size, packages, body FROM package_list WHERE ${PENDING.packageList} ORDER BY sha256 LIMIT 1`,
  );
  const [list] = rows;
  if (list === undefined) return null;
  const { sha256, size, packages, body } = list;
  const what = `list of ${packages} packages`;
  return { sha256, size, what, bytes: Buffer.from(body, 'utf8'), packed: false, from: { packageList: sha256 } };
}

/** Writes down that it is stored; a version's own copy of the bytes goes. */
export async function markStored(db: Queryable, file: Pick<PendingFile, 'from'>, now: EpochMs): Promise<void> {
  if ('version' in file.from) {
    await db.query('UPDATE baseline_version SET stored_at = to_timestamp($2 / 1000.0), document = NULL WHERE id = $1', [
      file.from.version,
      now,
    ]);
  } else if ('packageList' in file.from) {
    await db.query('UPDATE package_list SET stored_at = to_timestamp($2 / 1000.0) WHERE sha256 = $1', [
      file.from.packageList,
      now,
    ]);
  } else
    await db.query('UPDATE checklist SET stored_at = to_timestamp($2 / 1000.0) WHERE id = $1', [
      file.from.checklist,
      now,
    ]);
}

/** Fix scripts, and lists of what their packages bring, by digest. */
export async function loadFixes(db: Queryable, digests: readonly string[]): Promise<Map<string, Buffer>> {
  const { rows } = await db.query(
    `SELECT sha256, body FROM baseline_fix WHERE sha256 = ANY ($1)
     UNION ALL SELECT sha256, body FROM package_list WHERE sha256 = ANY ($1)`,
    [digests],
  );
  return new Map(rows.map((row) => [row.sha256 as string, Buffer.from(row.body, 'utf8')]));
}
