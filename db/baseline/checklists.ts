/** Checklists as rows: made once, never changed, so that what was approved under a name stays what it was. */
import type { PoolClient } from 'pg';
import {
  type Checklist,
  checklistOf,
  FIXES_READ,
  fixText,
  valuesOfRule,
  whyNoFix,
} from '../../domain/baseline/checklist.js';
import type { Benchmark } from '../../domain/baseline/model.js';
import { type PackageMove, packageMoveOf } from '../../domain/baseline/package-fix.js';
import { ruleNames } from '../../domain/baseline/rule-name.js';
import type { Tailoring } from '../../domain/baseline/tailoring.js';
import { sha256Hex } from '../../domain/content/canonical.js';
import type { Queryable } from '../pool.js';
import { loadBenchmark } from './versions.js';

export interface ChecklistRow {
  readonly id: number;
  readonly name: string;
  readonly versionId: string;
  readonly profile: string;
  readonly tailoring: Tailoring | null;
  /** Why this release could not read its fixes anew; they are as an earlier one read them. Null: it could. */
  readonly fixesProblem: string | null;
}

export interface ChecklistRule {
  readonly position: number;
  readonly ruleId: string;
  readonly name: string;
  readonly title: string;
  readonly severity: string;
  readonly fixSha256: string | null;
  readonly noFixReason: string | null;
  readonly packageFix: PackageMove | null;
}

/** The checklist of these contents, made with its rules and fixes if it is new. */
export async function ensureChecklist(
  client: PoolClient,
  args: {
    readonly baseline: string;
    readonly version: { readonly id: string; readonly number: number };
    readonly benchmark: Benchmark;
    readonly checklist: Checklist;
    readonly tailoring: Tailoring | null;
  },
): Promise<ChecklistRow> {
  const { benchmark, checklist, tailoring } = args;
  const name = checklistName({ ...args, profile: checklist.profile, digest: checklist.digest });
  const { rows } = await client.query(
    `INSERT INTO checklist (name, digest, version_id, profile, scanner_profile, tailoring, tailoring_text, tailoring_sha256, tailoring_size, fixes_read)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (digest) DO NOTHING RETURNING id`,
    [
      name,
      checklist.digest,
      args.version.id,
      checklist.profile,
      checklist.scannerProfile,
      tailoring === null ? null : JSON.stringify(tailoring),
      checklist.tailoring?.text ?? null,
      checklist.tailoring?.sha256 ?? null,
      checklist.tailoring?.size ?? null,
      FIXES_READ,
    ],
  );
  const made = rows[0]?.id as number | undefined;
  if (made !== undefined) await insertRules(client, { id: made, benchmark, checklist });
  const found = await findChecklist(client, { digest: checklist.digest });
  if (found === null) throw new Error(`checklist ${checklist.digest} is gone`);
  return found;
}

export async function findChecklist(
  db: Queryable,
  by: { readonly digest: string } | { readonly name: string } | { readonly id: number },
): Promise<ChecklistRow | null> {
  const [column, value] = Object.entries(by)[0] as [string, string | number];
  const { rows } = await db.query<ChecklistRow>(
    `SELECT id, name, version_id AS "versionId", profile, tailoring, fixes_problem AS "fixesProblem" FROM checklist WHERE ${column === 'digest' ? 'digest' : column === 'name' ? 'name' : 'id'} = $1`,
    [value],
  );
  return rows[0] ?? null;
}

/** Its rules, in the order in which results are kept. */
export async function loadChecklistRules(
  db: Queryable,
  checklistIds: readonly number[],
): Promise<Map<number, ChecklistRule[]>> {
  const { rows } = await db.query(
    `SELECT checklist_id, position, rule_id AS "ruleId", name, title, severity, fix_sha256 AS "fixSha256", no_fix_reason AS "noFixReason",
            package_fix AS "packageFix"
       FROM checklist_rule WHERE checklist_id = ANY ($1) ORDER BY checklist_id, position`,
    [checklistIds],
  );
  const found = new Map<number, ChecklistRule[]>();
  for (const { checklist_id: id, ...rule } of rows) {
    const list = found.get(id);
    if (list === undefined) found.set(id, [rule]);
    else list.push(rule);
  }
  return found;
}

/**
 * Reads the fixes of one checklist anew that an earlier release read. What it measures stays as it is, and so does what was approved: that is by digest.
 * One that can't be read stays as it was, with the problem, and is not tried again by this release.
 * @returns more: there was one, and there may be others; problem: what to tell whoever runs this
 */
export async function readFixesAnew(
  client: PoolClient,
): Promise<{ readonly more: boolean; readonly problem: string | null }> {
  const { rows } = await client.query<Unread>(
    `SELECT c.id, c.name, c.digest, c.profile, c.tailoring, c.version_id AS "versionId", v.sha256 FROM checklist c JOIN baseline_version v ON v.id = c.version_id
      WHERE c.fixes_read < $1 ORDER BY c.id LIMIT 1 FOR UPDATE OF c SKIP LOCKED`,
    [FIXES_READ],
  );
  const [row] = rows;
  if (row === undefined) return { more: false, problem: null };
  await client.query('SAVEPOINT fixes');
  let problem: string | null = null;
  try {
    await readFixesOf(client, row);
  } catch (error) {
    if (!isOfTheChecklist(error)) throw error;
    await client.query('ROLLBACK TO SAVEPOINT fixes');
    problem = (error as Error).message.slice(0, 1_000);
  }
  await client.query('UPDATE checklist SET fixes_read = $2, fixes_problem = $3 WHERE id = $1', [
    row.id,
    FIXES_READ,
    problem,
  ]);
  return {
    more: true,
    problem: problem === null ? null : `fixes of checklist ${row.name} stay as they were: ${problem}`,
  };
}

interface Unread {
  readonly id: number;
  readonly name: string;
  readonly digest: string;
  readonly profile: string;
  readonly tailoring: Tailoring | null;
  readonly versionId: string;
  readonly sha256: string;
}

/** What the database says of itself (it is away, too slow, in the way) may be over next time; what it says of data is not (SQLSTATE 22, 23). */
const isOfTheChecklist = (error: unknown): boolean => {
  const { code, severity } = error as { readonly code?: unknown; readonly severity?: unknown };
  return typeof severity === 'string' ? /^2[23]/.test(String(code)) : code === undefined;
};

async function readFixesOf(client: PoolClient, row: Unread): Promise<void> {
  const { profile, tailoring, sha256 } = row;
  const benchmark = await loadBenchmark(client, row.versionId);
  const checklist = checklistOf({ benchmark, sha256, profile, tailoring });
  if (checklist.digest !== row.digest) throw new Error(`it is not what its digest says (${row.digest})`);
  const { rules, fixes } = readRules({ benchmark, checklist });
  await insertFixes(client, fixes);
  await client.query(
    `UPDATE checklist_rule r SET fix_sha256 = n.fix_sha256, no_fix_reason = n.no_fix_reason, package_fix = n.package_fix, vals = n.vals
       FROM jsonb_to_recordset($2::jsonb) AS n (position smallint, rule_id text, fix_sha256 text, no_fix_reason text, package_fix jsonb, vals jsonb)
      WHERE r.checklist_id = $1 AND r.position = n.position AND r.rule_id = n.rule_id
        AND (r.fix_sha256, r.no_fix_reason, r.package_fix, r.vals) IS DISTINCT FROM (n.fix_sha256, n.no_fix_reason, n.package_fix, n.vals)`,
    [row.id, JSON.stringify(rules)],
  );
}

function readRules(args: { readonly benchmark: Benchmark; readonly checklist: Checklist }) {
  const { benchmark, checklist } = args;
  const names = ruleNames(benchmark.rules.map((rule) => rule.id));
  const fixes = new Map<string, string>();
  const rules = checklist.rules.flatMap((number, position) => {
    const rule = benchmark.rules[number];
    if (rule === undefined) return [];
    const reason = whyNoFix(rule);
    const text = reason === null ? fixText(rule, checklist.values) : null;
    const sha256 = text === null ? null : sha256Hex(text);
    if (text !== null && sha256 !== null) fixes.set(sha256, text);
    const { id, title, severity } = rule;
    const package_fix = packageMoveOf(text);
    return [
      {
        position,
        rule_id: id,
        name: names[number],
        title,
        severity,
        fix_sha256: sha256,
        no_fix_reason: reason,
        package_fix,
        vals: valuesOfRule(rule, checklist.values),
      },
    ];
  });
  return { rules, fixes };
}

async function insertFixes(client: PoolClient, fixes: ReadonlyMap<string, string>): Promise<void> {
  await client.query(
    `INSERT INTO baseline_fix (sha256, size, body) SELECT f.sha256, octet_length(f.body), f.body
       FROM unnest($1::text[], $2::text[]) AS f (sha256, body) ON CONFLICT (sha256) DO NOTHING`,
    [[...fixes.keys()], [...fixes.values()]],
  );
}

async function insertRules(
  client: PoolClient,
  args: { readonly id: number; readonly benchmark: Benchmark; readonly checklist: Checklist },
): Promise<void> {
  const { rules, fixes } = readRules(args);
  await insertFixes(client, fixes);
  await client.query(
    `INSERT INTO checklist_rule (checklist_id, position, rule_id, name, title, severity, fix_sha256, no_fix_reason, package_fix, vals)
     SELECT $1, r.* FROM jsonb_to_recordset($2::jsonb) AS r (position smallint, rule_id text, name text, title text, severity text,
                                                             fix_sha256 text, no_fix_reason text, package_fix jsonb, vals jsonb)`,
    [args.id, JSON.stringify(rules)],
  );
}

/** What orders and plans call it: `debian12.v1.anssi-bp28-high.3fa2b1c0`. The end tells apart what reads alike. */
function checklistName(args: {
  readonly baseline: string;
  readonly version: { readonly number: number };
  readonly profile: string;
  readonly digest: string;
}): string {
  const [profile] = ruleNames([args.profile.replace(/^xccdf_.*?_profile_/, '')]);
  return `${args.baseline}.v${args.version.number}.${(profile ?? '').slice(0, 40)}.${args.digest.slice(0, 8)}`;
}
