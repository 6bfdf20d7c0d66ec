/** One assignment of a baseline: its mode, its trial compared with the rest, and the forms that take it a step further. */
import { type Request, type Response, Router } from 'express';
import { type AssignmentRow, findAssignment } from '../../db/baseline/assignments.js';
import { findChecklist } from '../../db/baseline/checklists.js';
import { listConflicts } from '../../db/baseline/conflicts.js';
import { compareTrial } from '../../db/baseline/trial.js';
import { listGroups } from '../../db/groups/groups.js';
import { actorNames } from '../../db/read/people.js';
import type { Mode } from '../../domain/baseline/assignment.js';
import { conflictInWords } from '../../domain/baseline/conflicts.js';
import { whyUnfinished } from '../../domain/baseline/widening.js';
import { selectorInWords } from '../../domain/fleet/selector-words.js';
import { assignmentShown } from '../baselines/assignment-routes.js';
import { versionOf } from '../http/preconditions.js';
import { conflict, notFound, Problem } from '../http/problem.js';
import { inWords } from './commands.js';
import { type Fields, fieldsOf, guardedForm, namedIn } from './forms.js';
import { APPROVERS, RING_FIELDS, RING_PROPOSAL, statedRings } from './rings-form.js';
import type { ConsoleDeps, Shell } from './shell.js';

export const MODES: readonly Mode[] = ['observe', 'propose', 'enforce'];
/** What each mode lets happen. */
const MEANS: Readonly<Record<Mode, string>> = {
  observe: 'Endpoints are measured; nothing is changed.',
  propose: 'A remediation that people request and approve may put rules right.',
  enforce: 'A remediation is requested by itself when a rule fails that has a fix; people still approve its rings.',
};

/** Shown; the command line has all. */
const CONFLICTS = 25;

/** What a form asks for: the mode of all, or of a trial. */
type Step = { readonly mode: Mode; readonly trial: AssignmentRow['trial'] };

export function assignmentPages({ pool, forms }: ConsoleDeps, shell: Shell): Router {
  const router = Router();
  const guarded = guardedForm(forms);

  const found = async (req: Request): Promise<AssignmentRow> => {
    const assignment = await findAssignment(pool, namedIn(req, 'name'));
    if (assignment === null) throw notFound('baseline assignment');
    return assignment;
  };
  const pathOf = (name: string) => `/compliance/assignments/${encodeURIComponent(name)}`;

  const ask = async (
    req: Request,
    res: Response,
    args: { assignment: AssignmentRow; fields: Fields; status: number; wrong: string },
  ): Promise<void> => {
    const { assignment, fields, status, wrong } = args;
    const [sides, conflicts, groups, names] = await Promise.all([
      compareTrial(pool, assignment.id),
      listConflicts(pool, { assignmentId: assignment.id, after: null, limit: CONFLICTS }),
      listGroups(pool),
      actorNames(pool, [assignment.editedBy]),
    ]);
    await shell.show(req, res, {
      view: 'assignment',
      title: assignment.name,
      current: '/compliance',
      status,
      data: {
        assignment: { ...assignment, editedBy: names.get(assignment.editedBy) },
        who: selectorInWords(assignment.appliesTo),
        trialWho: assignment.trial === null ? '' : selectorInWords(assignment.trial.appliesTo),
        sides,
        unfinished: assignment.trial === null ? null : whyUnfinished(sides, assignment.trial.mode),
        mayOverride: shell.may(req, 'baseline.override'),
        conflicts: conflicts.items.map((one) => ({ ...one, words: conflictInWords(one) })),
        moreConflicts: conflicts.next !== null,
        modes: MODES,
        means: MEANS,
        groups: groups.map((group) => group.name),
        approvers: APPROVERS,
        path: pathOf(assignment.name),
        seen: versionOf(assignmentShown(assignment)),
        mayEdit: shell.may(req, 'baseline.edit'),
        ...{ fields, wrong },
      },
    });
  };

  router.get('/compliance/assignments/:name', shell.needs('baseline.read'), async (req, res) => {
    const assignment = await found(req);
    await ask(req, res, { assignment, fields: RING_PROPOSAL, status: 200, wrong: '' });
  });

  router.post('/compliance/assignments/:name', shell.needs('baseline.edit'), ...guarded, async (req, res) => {
    const assignment = await found(req);
    const fields = fieldsOf(req, ['seen', 'step', 'mode', 'group', 'override', ...RING_FIELDS]);
    try {
      const step = stepOf(assignment, fields);
      await shell.invoke(req, {
        method: 'put',
        path: '/v1/baseline-assignments/:name',
        params: { name: assignment.name },
        ifVersion: fields.seen ?? '',
        body: await bodyOf(assignment, { step, fields }),
      });
      const said =
        step.trial === null
          ? `Mode ${step.mode} for all of them now.`
          : `On trial with mode ${step.trial.mode}: ${selectorInWords(step.trial.appliesTo)}.`;
      await shell.done(req, res, { path: pathOf(assignment.name), said: `${said} It counts within a minute.` });
    } catch (error) {
      if (!(error instanceof Problem) || error.status >= 500) throw error;
      await ask(req, res, {
        assignment,
        fields: { ...RING_PROPOSAL, ...fields },
        status: error.status,
        wrong:
          error.status === 412 ? 'somebody has changed it since you looked: look again, then repeat' : inWords(error),
      });
    }
  });

  /** The assignment as it is, but for the step; the API checks and records it like every other. */
  const bodyOf = async (assignment: AssignmentRow, args: { step: Step; fields: Fields }): Promise<object> => {
    const { mode, trial } = args.step;
    const checklist = await findChecklist(pool, { id: assignment.checklistId });
    const tailoring = checklist?.tailoring;
    const enforced = mode === 'enforce' || trial?.mode === 'enforce';
    const { baseline, version, profile, appliesTo, precedence, critical } = assignment;
    return {
      ...{ baseline, version, profile, appliesTo, precedence, critical, mode },
      ...(tailoring == null ? {} : { select: tailoring.select, values: tailoring.values }),
      ...(trial === null ? {} : { trial }),
      ...((args.fields.override ?? '') === '' ? {} : { override: { reason: args.fields.override } }),
      ...(enforced ? { enforcement: assignment.enforcement ?? statedRings(args.fields) } : {}),
    };
  };

  router.post('/compliance/assign', shell.needs('baseline.edit'), ...guarded, async (req, res) => {
    const { name = '', profile = '', group = '' } = fieldsOf(req, ['name', 'profile', 'group']);
    const [baseline = '', version = '', id = ''] = profile.split(' ');
    try {
      if ((await findAssignment(pool, name)) !== null) throw conflict(`there is an assignment ${name} already`);
      await shell.invoke(req, {
        method: 'put',
        path: '/v1/baseline-assignments/:name',
        params: { name },
        body: {
          ...{ baseline, version: Number(version), profile: id, precedence: 0, mode: 'observe' },
          appliesTo: group === '' ? { all: true } : { groups: [group] },
        },
      });
      await shell.done(req, res, {
        path: pathOf(name),
        said: 'They are asked to measure themselves at their next poll, if they have openscap-scanner.',
      });
    } catch (error) {
      if (!(error instanceof Problem) || error.status >= 500) throw error;
      await shell.done(req, res, { path: '/compliance', said: `Not assigned: ${inWords(error)}.` });
    }
  });
  return router;
}

/** @throws Problem 409 for a step that the assignment's present state does not offer */
function stepOf({ mode, trial }: AssignmentRow, fields: Fields): Step {
  const wanted = MODES.find((one) => one === fields.mode);
  switch (fields.step) {
    case 'widen':
      if (trial === null) throw conflict('there is no trial to be widened');
      return { mode: trial.mode, trial: null };
    case 'end':
      return { mode, trial: null };
    case 'trial':
      if (wanted === undefined || fields.group === '') throw conflict('a trial needs a mode and a group');
      return { mode, trial: { mode: wanted, appliesTo: { groups: [fields.group ?? ''] } } };
    case 'mode':
      if (wanted === undefined) throw conflict('say which mode');
      return { mode: wanted, trial: null };
    default:
      throw conflict('say what is to happen');
  }
}
