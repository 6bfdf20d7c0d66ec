/** One endpoint by one checklist: each rule, since when it is so, and findings that people say are wrong. */
import { type Request, Router } from 'express';
import { findChecklist } from '../../db/baseline/checklists.js';
import { type EndpointRule, listEndpointAssessments, listEndpointRules } from '../../db/baseline/compliance.js';
import { readEndpointAbout } from '../../db/read/endpoint-view.js';
import { actorNames } from '../../db/read/people.js';
import { conflictInWords } from '../../domain/baseline/conflicts.js';
import { fixInWords } from '../../domain/baseline/fix-words.js';
import { isFinding } from '../../domain/baseline/results.js';
import { idParams } from '../http/paging.js';
import { notFound, Problem } from '../http/problem.js';
import { inWords } from './commands.js';
import { SEVERITIES } from './compliance-view.js';
import { askedFor, fieldsOf, guardedForm, namedIn } from './forms.js';
import type { ConsoleDeps, Shell } from './shell.js';

const PAGE = 25;
export function findingPages({ pool, forms }: ConsoleDeps, shell: Shell): Router {
  const router = Router();
  const guarded = guardedForm(forms);
  const idOf = (req: Request): string => {
    const { success, data } = idParams.safeParse({ id: req.params.id });
    if (!success) throw notFound('endpoint');
    return data.id;
  };
  const pathOf = (req: Request) => `/endpoints/${idOf(req)}/baselines/${encodeURIComponent(namedIn(req, 'checklist'))}`;

  router.get('/endpoints/:id/baselines/:checklist', shell.needs('baseline.read'), async (req, res) => {
    const id = idOf(req);
    const [endpoint, checklist] = await Promise.all([
      readEndpointAbout(pool, id),
      findChecklist(pool, { name: namedIn(req, 'checklist') }),
    ]);
    if (endpoint === null) throw notFound('endpoint');
    if (checklist === null) throw notFound('checklist');
    const [assessments, rules] = await Promise.all([
      listEndpointAssessments(pool, id),
      listEndpointRules(pool, { endpointId: id, checklistId: checklist.id }),
    ]);
    const assessment = assessments.find((one) => one.checklist === checklist.name);
    if (assessment === undefined) throw notFound('assessment of this endpoint by this checklist');
    const all = askedFor(req, 'show') === 'all';
    const only = askedFor(req, 'rule');
    const found = bySeverity(rules ?? []).filter((rule) =>
      only !== '' ? rule.name === only : all || isFinding(rule.result) || rule.falsePositive !== null,
    );
    const from = Number(askedFor(req, 'from'));
    const begin = Number.isSafeInteger(from) && from > 0 && from < found.length ? from : 0;
    const shown = found.slice(begin, begin + PAGE);
    const names = await actorNames(
      pool,
      shown.map((rule) => rule.falsePositive?.by ?? null),
    );
    const path = pathOf(req);
    await shell.show(req, res, {
      view: 'findings',
      title: `${assessment.baseline} on ${endpoint.name}`,
      current: '/endpoints',
      data: {
        ...{ endpoint, assessment, all, only, path },
        measured: rules !== null,
        base: `/compliance/${encodeURIComponent(checklist.name)}`,
        rules: shown.map((rule) => ({
          ...rule,
          bad: isFinding(rule.result),
          fix: fixInWords(rule),
          decided: rule.conflict === null ? null : conflictInWords(rule.conflict),
          markedBy: rule.falsePositive === null ? null : names.get(rule.falsePositive.by),
        })),
        total: found.length,
        begin,
        next: begin + PAGE < found.length ? `${path}?${all ? 'show=all&' : ''}from=${begin + PAGE}` : null,
        mayMark: shell.may(req, 'baseline.edit'),
        mayScan: shell.may(req, 'endpoint.scan') && endpoint.state === 'active',
      },
    });
  });

  const answer = (
    what: 'mark' | 'unmark',
    tell: (req: Request, fields: { rule: string; reason: string }) => Promise<unknown>,
    said: string,
  ) =>
    router.post(
      `/endpoints/:id/baselines/:checklist/${what}`,
      shell.needs('baseline.edit'),
      ...guarded,
      async (req, res) => {
        const { rule = '', reason = '' } = fieldsOf(req, ['rule', 'reason']);
        try {
          await tell(req, { rule, reason });
          await shell.done(req, res, { path: pathOf(req), said });
        } catch (error) {
          if (!(error instanceof Problem) || error.status >= 500) throw error;
          await shell.done(req, res, { path: pathOf(req), said: `Nothing was changed: ${inWords(error)}.` });
        }
      },
    );
  const paramsOf = (req: Request) => ({ id: idOf(req), checklist: namedIn(req, 'checklist') });
  answer(
    'mark',
    (req, body) =>
      shell.invoke(req, {
        method: 'put',
        path: '/v1/endpoints/:id/assessments/:checklist/false-positives',
        params: paramsOf(req),
        body,
      }),
    'Marked as wrong: it counts nowhere, and nothing puts it right.',
  );
  answer(
    'unmark',
    (req, { rule }) =>
      shell.invoke(req, {
        method: 'delete',
        path: '/v1/endpoints/:id/assessments/:checklist/false-positives/:rule',
        params: { ...paramsOf(req), rule },
      }),
    'It counts again.',
  );

  router.post('/endpoints/:id/assess', shell.needs('endpoint.scan'), ...guarded, async (req, res) => {
    const id = idOf(req);
    try {
      await shell.invoke(req, { method: 'post', path: '/v1/endpoints/:id/assess', params: { id } });
      await shell.done(req, res, {
        path: `/endpoints/${id}`,
        said: 'It will be asked to measure itself at its next poll.',
      });
    } catch (error) {
      if (!(error instanceof Problem) || error.status !== 409) throw error;
      await shell.done(req, res, { path: `/endpoints/${id}`, said: `Not asked: ${inWords(error)}.` });
    }
  });
  return router;
}

/** The worst first; alike ones in the checklist's order. */
function bySeverity(rules: readonly EndpointRule[]): EndpointRule[] {
  const rank = ({ severity, result }: EndpointRule) =>
    (result === 'fail' ? 0 : 100) + (SEVERITIES as readonly string[]).indexOf(severity);
  return rules.toSorted((a, b) => rank(a) - rank(b));
}
