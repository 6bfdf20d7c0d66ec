import { appendAudit } from '../../db/audit/append.js';
import {
  type AssignmentRow,
  deleteAssignment,
  findAssignment,
  listAssignments,
  putAssignment,
} from '../../db/baseline/assignments.js';
import { loadChecklistRules } from '../../db/baseline/checklists.js';
import { listConflicts } from '../../db/baseline/conflicts.js';
import { compareTrial } from '../../db/baseline/trial.js';
import { findVersion } from '../../db/baseline/versions.js';
import { inTransaction } from '../../db/pool.js';
import { enforcementSpec } from '../../domain/baseline/enforcement.js';
import { whyUnfinished } from '../../domain/baseline/widening.js';
import { checkSpec } from '../changes/check-spec.js';
import type { ApiDeps } from '../deps.js';
import { requireGroups } from '../groups/check-selector.js';
import { cursorParts, nameParams, pageSchema } from '../http/paging.js';
import { invalidField, notFound } from '../http/problem.js';
import { type Route, route } from '../http/route.js';
import { requireTrial } from './require-trial.js';
import { makeChecklist } from './routes.js';
import { assignmentBody, assignmentReply, conflictReply, conflictsQuery, trialReply } from './schema.js';

/** What is answered of it, and its ETag stands for. */
export const assignmentShown = ({ id: _, checklistId: _checklist, ...row }: AssignmentRow) => row;

export function assignmentRoutes(deps: ApiDeps): Route[] {
  const { pool } = deps;
  return [
    route({
      method: 'get',
      path: '/v1/baseline-assignments',
      summary: 'Which endpoints are measured by which baselines, in which mode',
      permission: 'baseline.read',
      responses: { 200: { description: 'Assignments by name', schema: pageSchema(assignmentReply) } },
      handler: async () => ({
        status: 200,
        body: { items: (await listAssignments(pool)).map(assignmentShown), next: null },
      }),
    }),
    route({
      method: 'get',
      path: '/v1/baseline-assignments/:name',
      summary: 'One assignment',
      permission: 'baseline.read',
      params: nameParams,
      current: async (db, { name }) => {
        const found = await findAssignment(db, name);
        return found === null ? null : assignmentShown(found);
      },
      responses: { 200: { description: 'The assignment', schema: assignmentReply } },
      handler: async ({ params }) => {
        const found = await findAssignment(pool, params.name);
        if (found === null) throw notFound('baseline assignment');
        return { status: 200, body: assignmentShown(found) };
      },
    }),
    route({
      method: 'get',
      path: '/v1/baseline-assignments/:name/trial',
      summary: 'The subset that is a step ahead compared with the rest: failures, reverts, findings marked as wrong',
      permission: 'baseline.read',
      params: nameParams,
      responses: { 200: { description: 'Both sides', schema: trialReply } },
      handler: async ({ params }) => {
        const found = await findAssignment(pool, params.name);
        if (found === null) throw notFound('baseline assignment');
        const sides = await compareTrial(pool, found.id);
        const unfinished = found.trial === null ? null : whyUnfinished(sides, found.trial.mode);
        return { status: 200, body: { ...sides, since: found.trialSince, unfinished } };
      },
    }),
    route({
      method: 'get',
      path: '/v1/baseline-assignments/:name/conflicts',
      summary:
        'Rules of which an assignment with a higher precedence wants something else on the same endpoints, and decides',
      permission: 'baseline.read',
      params: nameParams,
      query: conflictsQuery,
      responses: { 200: { description: 'Rules by name', schema: pageSchema(conflictReply) } },
      handler: async ({ params, query }) => {
        const found = await findAssignment(pool, params.name);
        if (found === null) throw notFound('baseline assignment');
        const after = cursorParts(query.cursor, ['string', 'string']) as [string, string] | null;
        const page = await listConflicts(pool, { assignmentId: found.id, after, limit: query.limit });
        return { status: 200, body: page };
      },
    }),
    route({
      method: 'put',
      path: '/v1/baseline-assignments/:name',
      summary:
        'Measure endpoints by a profile of a baseline, tailored or not. Of several for one baseline the highest precedence counts',
      permission: 'baseline.edit',
      params: nameParams,
      body: assignmentBody,
      responses: { 200: { description: 'The assignment as it is now', schema: assignmentReply } },
      handler: async ({ params, body, person, now }) => {
        const version = await findVersion(pool, { baseline: body.baseline, number: body.version });
        if (version === null)
          throw invalidField(
            body.version === undefined ? 'baseline' : 'version',
            `no such version of ${body.baseline}`,
          );
        await requireGroups(pool, body.appliesTo, 'appliesTo');
        if (body.trial !== undefined) await requireGroups(pool, body.trial.appliesTo, 'trial.appliesTo');
        if (body.enforcement !== undefined) {
          const made = enforcementSpec({
            assignment: params.name,
            scope: body.appliesTo,
            enforcement: body.enforcement,
          });
          // Of the assignment itself it may be the first that anybody hears.
          await checkSpec(deps, { ...made, parameters: { enforcedOnly: true } }, 'enforcement.');
        }
        await inTransaction(pool, async (client) => {
          const { row: checklist, record } = await makeChecklist(client, { ...body, version, by: person.actor });
          const known = new Set(
            (await loadChecklistRules(client, [checklist.id])).get(checklist.id)?.map((rule) => rule.ruleId),
          );
          for (const [i, id] of body.critical.entries())
            if (!known.has(id)) throw invalidField(`critical[${i}]`, `the checklist has no rule ${id}`);
          const widened = await requireTrial(client, {
            name: params.name,
            after: { ...body, trial: body.trial ?? null, checklistId: checklist.id },
            override: body.override ?? null,
            person,
          });
          await putAssignment(client, {
            name: params.name,
            baselineId: version.baselineId,
            checklistId: checklist.id,
            appliesTo: body.appliesTo,
            precedence: body.precedence,
            mode: body.mode,
            trial: body.trial ?? null,
            critical: body.critical,
            enforcement: body.enforcement ?? null,
            by: person.actor,
            now,
          });
          const subject = `baseline-assignment/${params.name}`;
          const detail = { ...body, version: version.number, checklist: checklist.name };
          await appendAudit(client, [
            record,
            { actor: person.actor, action: 'baseline.assigned', subject, detail },
            ...widened.map((one) => ({ actor: person.actor, subject, ...one })),
          ]);
        });
        const made = await findAssignment(pool, params.name);
        if (made === null) throw notFound('baseline assignment');
        return { status: 200, body: assignmentShown(made) };
      },
    }),
    route({
      method: 'delete',
      path: '/v1/baseline-assignments/:name',
      summary: 'Measure by it no more; results that were found stay',
      permission: 'baseline.edit',
      params: nameParams,
      responses: { 204: { description: 'Gone' } },
      handler: async ({ params, person }) => {
        await inTransaction(pool, async (client) => {
          if (!(await deleteAssignment(client, params.name))) throw notFound('baseline assignment');
          const subject = `baseline-assignment/${params.name}`;
          await appendAudit(client, [{ actor: person.actor, action: 'baseline.unassigned', subject }]);
        });
        return { status: 204 };
      },
    }),
  ];
}
