import type { PoolClient } from 'pg';
import { appendAudit } from '../../db/audit/append.js';
import { ensureChecklist, loadChecklistRules } from '../../db/baseline/checklists.js';
import { listRules } from '../../db/baseline/rules.js';
import {
  findVersion,
  insertVersion,
  listVersions,
  loadBenchmark,
  type VersionRow,
} from '../../db/baseline/versions.js';
import { inTransaction } from '../../db/pool.js';
import { type Checklist, checklistOf, fixText, whyNoFix } from '../../domain/baseline/checklist.js';
import { diffBenchmarks } from '../../domain/baseline/diff.js';
import type { Benchmark } from '../../domain/baseline/model.js';
import { packageMoveOf } from '../../domain/baseline/package-fix.js';
import { BaselineRefused } from '../../domain/baseline/refusal.js';
import type { Tailoring } from '../../domain/baseline/tailoring.js';
import type { ApiDeps } from '../deps.js';
import { cursorParts, pageSchema } from '../http/paging.js';
import { invalidField, notFound } from '../http/problem.js';
import { type Route, route } from '../http/route.js';
import { readUpload } from './import.js';
import {
  baselineParams,
  checklistReply,
  diffQuery,
  diffReply,
  importQuery,
  ruleReply,
  rulesQuery,
  tailorBody,
  versionParams,
  versionReply,
} from './schema.js';

const shown = ({ baselineId: _, ...row }: VersionRow) => row;

export function baselineRoutes({ pool }: ApiDeps): Route[] {
  const version = async (baseline: string, number?: number): Promise<VersionRow> => {
    const found = await findVersion(pool, { baseline, number });
    if (found === null) throw notFound(number === undefined ? 'baseline' : 'version of this baseline');
    return found;
  };
  return [
    route({
      method: 'post',
      path: '/v1/baselines',
      summary: 'Import a SCAP data stream (XCCDF 1.2 with its OVAL) as the newest version of the baseline of this name',
      permission: 'baseline.edit',
      query: importQuery,
      upload: 'application/xml',
      responses: {
        200: { description: 'This very version was imported before', schema: versionReply },
        201: { description: 'Imported', schema: versionReply },
      },
      handler: async ({ query, req, person, now }) => {
        const { benchmark, sha256, size, packed } = await readUpload(req);
        const made = await inTransaction(pool, async (client) => {
          const by = person.actor;
          const stored = await insertVersion(client, {
            baseline: query.name,
            benchmark,
            sha256,
            size,
            document: packed,
            by,
            now,
          });
          if (!stored.existed) {
            const detail = { number: stored.number, sha256, benchmark: benchmark.id, version: benchmark.version };
            await appendAudit(client, [
              { actor: by, action: 'baseline.imported', subject: `baseline/${query.name}`, detail },
            ]);
          }
          return stored;
        });
        return {
          status: made.existed ? 200 : 201,
          body: shown(await version(query.name, made.number)),
          headers: { location: `/v1/baselines/${query.name}/versions/${made.number}` },
        };
      },
    }),
    route({
      method: 'get',
      path: '/v1/baselines',
      summary: 'Every version of every baseline, newest first within each',
      permission: 'baseline.read',
      responses: { 200: { description: 'Versions', schema: pageSchema(versionReply) } },
      handler: async () => ({ status: 200, body: { items: (await listVersions(pool, {})).map(shown), next: null } }),
    }),
    route({
      method: 'get',
      path: '/v1/baselines/:name',
      summary: 'The versions of one baseline, newest first',
      permission: 'baseline.read',
      params: baselineParams,
      responses: { 200: { description: 'Versions', schema: pageSchema(versionReply) } },
      handler: async ({ params }) => {
        const items = await listVersions(pool, { baseline: params.name });
        if (items.length === 0) throw notFound('baseline');
        return { status: 200, body: { items: items.map(shown), next: null } };
      },
    }),
    route({
      method: 'get',
      path: '/v1/baselines/:name/versions/:number/rules',
      summary: 'Rules of a version, or of a profile of it, each with the fix it would get',
      permission: 'baseline.read',
      params: versionParams,
      query: rulesQuery,
      responses: { 200: { description: 'A page', schema: pageSchema(ruleReply) } },
      handler: async ({ params, query }) => {
        const found = await version(params.name, params.number);
        const benchmark = await loadBenchmark(pool, found.id);
        const checklist =
          query.profile === undefined
            ? null
            : checklistFor({ benchmark, sha256: found.sha256, profile: query.profile, tailoring: null }, 'query');
        const after = cursorParts(query.cursor, ['number']) as [number] | null;
        const page = await listRules(pool, {
          versionId: found.id,
          numbers: checklist?.rules ?? null,
          severity: query.severity ?? null,
          after: after?.[0] ?? null,
          limit: query.limit,
        });
        const values =
          checklist?.values ?? Object.fromEntries(benchmark.values.map((value) => [value.id, value.options[''] ?? '']));
        const items = page.items.map(
          ({
            fix,
            selected: _,
            groups: _groups,
            conflicts: _conflicts,
            check: _check,
            checkValues: _values,
            ...rule
          }) => {
            const noFixReason = whyNoFix({ fix, automated: rule.automated });
            const script = fixText({ id: rule.id, fix }, values);
            const packageFix = packageMoveOf(noFixReason === null ? script : null);
            return { ...rule, noFixReason, fix: script, packageFix };
          },
        );
        return { status: 200, body: { items, next: page.next } };
      },
    }),
    route({
      method: 'get',
      path: '/v1/baselines/:name/diff',
      summary: 'What changed between two versions of a baseline',
      permission: 'baseline.read',
      params: baselineParams,
      query: diffQuery,
      responses: { 200: { description: 'Rules, profiles and values', schema: diffReply } },
      handler: async ({ params, query }) => {
        const [from, to] = await Promise.all([version(params.name, query.from), version(params.name, query.to)]);
        const [before, after] = await Promise.all([loadBenchmark(pool, from.id), loadBenchmark(pool, to.id)]);
        return { status: 200, body: diffBenchmarks(before, after) };
      },
    }),
    route({
      method: 'post',
      path: '/v1/baselines/:name/versions/:number/checklists',
      summary:
        'Tailor a profile: which rules it has then, and with which fixes. The checklist is kept; nobody is measured by it yet',
      permission: 'baseline.edit',
      params: versionParams,
      body: tailorBody,
      responses: { 200: { description: 'The checklist', schema: checklistReply } },
      handler: async ({ params, body, person }) => {
        const found = await version(params.name, params.number);
        const row = await inTransaction(pool, async (client) => {
          const made = await makeChecklist(client, { version: found, ...body, by: person.actor });
          await appendAudit(client, [made.record]);
          return made.row;
        });
        const rules = (await loadChecklistRules(pool, [row.id])).get(row.id) ?? [];
        return {
          status: 200,
          body: {
            name: row.name,
            profile: row.profile,
            rules: rules.map(({ position: _, ruleId, ...rule }) => ({ id: ruleId, ...rule })),
          },
        };
      },
    }),
  ];
}

/**
 * The checklist of a version, profile and tailoring, made if it is new; with what the audit log has to say of it, last of all in the transaction,
 * because the log's end is everybody's.
 * @throws Problem 400 with the field
 */
export async function makeChecklist(
  client: PoolClient,
  args: {
    readonly version: Pick<VersionRow, 'id' | 'number' | 'baseline' | 'sha256'>;
    readonly profile: string;
    readonly select?: Tailoring['select'] | undefined;
    readonly values?: Tailoring['values'] | undefined;
    readonly by: string;
  },
) {
  const { version, profile, select = {}, values = {} } = args;
  const benchmark = await loadBenchmark(client, version.id);
  const tailored = Object.keys(select).length > 0 || Object.keys(values).length > 0;
  const tailoring = tailored ? { profile, select, values } : null;
  const checklist = checklistFor({ benchmark, sha256: version.sha256, profile, tailoring }, 'body');
  const row = await ensureChecklist(client, { baseline: version.baseline, version, benchmark, checklist, tailoring });
  const detail = { checklist: row.name, profile, select, values };
  const record = { actor: args.by, action: 'baseline.tailored', subject: `baseline/${version.baseline}`, detail };
  return { row, record };
}

function checklistFor(
  args: {
    readonly benchmark: Benchmark;
    readonly sha256: string;
    readonly profile: string;
    readonly tailoring: Tailoring | null;
  },
  where: 'body' | 'query',
): Checklist {
  try {
    return checklistOf(args);
  } catch (error) {
    if (error instanceof BaselineRefused) throw invalidField(error.place, error.reason, where);
    throw error;
  }
}
