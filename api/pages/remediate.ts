/** A remediation of one rule, from its page: two rings as the form states them, requested by the same route as every change. */
import { type Request, type Response, Router } from 'express';
import { type AssignmentRow, listAssignments } from '../../db/baseline/assignments.js';
import { findChecklist } from '../../db/baseline/checklists.js';
import { type RuleText, readRuleText } from '../../db/baseline/rules.js';
import { listGroups } from '../../db/groups/groups.js';
import { fixInWords } from '../../domain/baseline/fix-words.js';
import { selectorInWords } from '../../domain/fleet/selector-words.js';
import { conflict, notFound, Problem } from '../http/problem.js';
import { inWords } from './commands.js';
import { type Fields, fieldsOf, guardedForm, namedIn } from './forms.js';
import { APPROVERS, RING_FIELDS, RING_PROPOSAL, statedRings } from './rings-form.js';
import type { ConsoleDeps, Shell } from './shell.js';

interface Found {
  readonly rule: RuleText;
  readonly base: string;
  /** Those whose mode lets a remediation work on somebody. */
  readonly assignments: readonly AssignmentRow[];
}

/** Whether a remediation may put rules right for somebody it holds for. */
export const mayBeRemediated = ({ mode, trial }: Pick<AssignmentRow, 'mode' | 'trial'>): boolean =>
  mode !== 'observe' || (trial !== null && trial.mode !== 'observe');

export function remediatePages({ pool, forms }: ConsoleDeps, shell: Shell): Router {
  const router = Router();
  const path = '/compliance/:checklist/rules/:rule/remediate';

  const find = async (req: Request): Promise<Found> => {
    const checklist = await findChecklist(pool, { name: namedIn(req, 'checklist') });
    const rule =
      checklist === null ? null : await readRuleText(pool, { checklistId: checklist.id, name: namedIn(req, 'rule') });
    if (checklist === null || rule === null) throw notFound('rule of this checklist');
    if (rule.noFixReason !== null) throw conflict(`nothing puts this rule right: ${rule.noFixReason}`);
    const assignments = (await listAssignments(pool)).filter(
      (one) => one.checklistId === checklist.id && mayBeRemediated(one),
    );
    if (assignments.length === 0) throw conflict('nothing may put it right: its mode is observe');
    const base = `/compliance/${encodeURIComponent(checklist.name)}/rules/${encodeURIComponent(rule.name)}`;
    return { rule, base, assignments };
  };

  const ask = async (
    req: Request,
    res: Response,
    args: { found: Found; fields: Fields; status: number; wrong: string },
  ): Promise<void> => {
    const { found, fields, status, wrong } = args;
    await shell.show(req, res, {
      view: 'remediate',
      title: `Put right: ${found.rule.title}`,
      current: '/compliance',
      status,
      data: {
        ...found,
        assignments: found.assignments.map((one) => ({ ...one, who: selectorInWords(one.appliesTo) })),
        fix: fixInWords(found.rule),
        groups: (await listGroups(pool)).map((group) => group.name),
        approvers: APPROVERS,
        ...{ fields, wrong },
      },
    });
  };

  router.get(path, shell.needs('change.create'), async (req, res) => {
    await ask(req, res, { found: await find(req), fields: RING_PROPOSAL, status: 200, wrong: '' });
  });

  router.post(path, shell.needs('change.create'), ...guardedForm(forms), async (req, res) => {
    const found = await find(req);
    const fields = fieldsOf(req, ['assignment', 'reason', ...RING_FIELDS]);
    try {
      const assignment = found.assignments.find((one) => one.name === fields.assignment);
      if (assignment === undefined) throw conflict('say for which assignment');
      const reply = await shell.invoke(req, {
        method: 'post',
        path: '/v1/changes',
        body: {
          kind: 'remediation',
          name: `Put right: ${found.rule.title}`.slice(0, 200),
          reason: fields.reason,
          scope: assignment.appliesTo,
          priority: 0,
          parameters: { assignments: [assignment.name], rules: [found.rule.id] },
          ...statedRings(fields),
        },
      });
      const { id } = reply.body as { id: string };
      await shell.done(req, res, { path: `/changes/${id}`, said: 'The remediation is requested.' });
    } catch (error) {
      if (!(error instanceof Problem) || error.status >= 500) throw error;
      await ask(req, res, { found, fields, status: error.status, wrong: inWords(error) });
    }
  });
  return router;
}
