/** Security baselines: how the fleet stands, a checklist with its rules, and one rule. */
import { type Request, Router } from 'express';
import { listAssignments } from '../../db/baseline/assignments.js';
import { findChecklist } from '../../db/baseline/checklists.js';
import { listIncidents } from '../../db/baseline/notices.js';
import { readRuleText } from '../../db/baseline/rules.js';
import { tallyRules } from '../../db/baseline/tally.js';
import { findVersionById, listVersions } from '../../db/baseline/versions.js';
import { exceptedPositions, listRuleExceptions } from '../../db/exceptions/exceptions.js';
import { listGroups } from '../../db/groups/groups.js';
import { LATELY_DAYS, readOverview, readStanding } from '../../db/read/compliance.js';
import { listFailingEndpoints, listFalsePositives, longestFailing } from '../../db/read/findings.js';
import { actorNames } from '../../db/read/people.js';
import { fixInWords } from '../../domain/baseline/fix-words.js';
import { selectorInWords } from '../../domain/fleet/selector-words.js';
import { DAY } from '../../domain/time.js';
import { cursorParts } from '../http/paging.js';
import { notFound } from '../http/problem.js';
import { cursorOf } from './changes.js';
import { SEVERITIES, searchRules, standingParts } from './compliance-view.js';
import { askedFor, namedIn } from './forms.js';
import { mayBeRemediated } from './remediate.js';
import type { ConsoleDeps, Shell } from './shell.js';

const RULES = 25;
const ENDPOINTS = 50;
/** Of what stands aside; the rest is counted. */
const SHOWN = 10;

export function compliancePages({ pool, clock }: ConsoleDeps, shell: Shell): Router {
  const router = Router();
  const may = shell.needs('baseline.read');

  router.get('/compliance', may, async (req, res) => {
    const [assignments, versions, incidents, groups] = await Promise.all([
      readOverview(pool, clock() - LATELY_DAYS * DAY),
      listVersions(pool, {}),
      listIncidents(pool, { open: true, after: null, limit: SHOWN }),
      listGroups(pool),
    ]);
    const assigned = new Set(assignments.map((one) => one.baseline));
    const newest = versions.filter((one, i) => versions[i - 1]?.baseline !== one.baseline);
    await shell.show(req, res, {
      view: 'compliance',
      title: 'Compliance',
      current: '/compliance',
      data: {
        assignments: assignments.map((one) => ({
          ...one,
          who: selectorInWords(one.appliesTo),
          trialWho: one.trial === null ? '' : selectorInWords(one.trial.appliesTo),
          parts: standingParts(one),
        })),
        lately: LATELY_DAYS,
        baselines: newest,
        idle: newest.filter((one) => !assigned.has(one.baseline)),
        incidents: incidents.items,
        moreIncidents: incidents.next !== null,
        groups: groups.map((group) => group.name),
        mayEdit: shell.may(req, 'baseline.edit'),
      },
    });
  });

  const found = async (req: Request) => {
    const checklist = await findChecklist(pool, { name: namedIn(req, 'checklist') });
    if (checklist === null) throw notFound('checklist');
    const [version, assignments] = await Promise.all([
      findVersionById(pool, checklist.versionId),
      listAssignments(pool),
    ]);
    if (version === null) throw notFound('checklist');
    const own = assignments.filter((one) => one.checklistId === checklist.id);
    return {
      checklist,
      version,
      profile: version.profiles.find(({ id }) => id === checklist.profile)?.title ?? checklist.profile,
      assignments: own.map((one) => ({ ...one, who: selectorInWords(one.appliesTo) })),
    };
  };

  router.get('/compliance/:checklist', may, async (req, res) => {
    const { checklist, version, assignments, profile } = await found(req);
    const asked = searchOf(req);
    const [standing, tally, exceptions, wrong] = await Promise.all([
      readStanding(pool, checklist.id),
      tallyRules(pool, checklist.id),
      listRuleExceptions(pool, { checklistId: checklist.id, position: null, now: clock(), limit: SHOWN }),
      listFalsePositives(pool, { checklistId: checklist.id, position: null, after: null, limit: SHOWN }),
    ]);
    const rules = searchRules(tally, asked.search);
    const from = pageFrom(req, rules.length);
    const shown = rules.slice(from, from + RULES);
    const failing = shown.filter((rule) => rule.fail > 0).map((rule) => rule.position);
    const [since, excepted] = await Promise.all([
      longestFailing(pool, { checklistId: checklist.id, positions: failing }),
      exceptedPositions(pool, {
        checklistId: checklist.id,
        positions: shown.map((rule) => rule.position),
        now: clock(),
      }),
    ]);
    const names = await actorNames(pool, [
      ...exceptions.items.map((one) => one.approvedBy),
      ...wrong.items.map((one) => one.by),
    ]);
    const base = `/compliance/${encodeURIComponent(checklist.name)}`;
    await shell.show(req, res, {
      view: 'checklist',
      title: `${version.baseline} ${version.number}: ${profile}`,
      current: '/compliance',
      data: {
        ...{ checklist, version, assignments, profile, base, standing },
        parts: standingParts(standing),
        asked: asked.fields,
        severities: SEVERITIES,
        rules: shown.map((rule) => ({
          ...rule,
          since: since.get(rule.position) ?? null,
          fix: fixInWords(rule),
          excepted: excepted.has(rule.position),
        })),
        total: rules.length,
        from,
        next: from + RULES < rules.length ? `${base}?${asked.query}&from=${from + RULES}` : null,
        exceptions: exceptions.items.map((one) => ({
          ...one,
          who: selectorInWords(one.selector),
          approver: names.get(one.approvedBy),
        })),
        moreExceptions: exceptions.total - exceptions.items.length,
        wrong: wrong.items.map((one) => ({ ...one, by: names.get(one.by) })),
        moreWrong: wrong.next !== null,
      },
    });
  });

  router.get('/compliance/:checklist/rules/:rule', may, async (req, res) => {
    const { checklist, version, assignments, profile } = await found(req);
    const rule = await readRuleText(pool, { checklistId: checklist.id, name: namedIn(req, 'rule') });
    if (rule === null) throw notFound('rule of this checklist');
    const after = cursorParts(cursorOf(req), ['string', 'string']) as [string, string] | null;
    const of = { checklistId: checklist.id, position: rule.position };
    const [page, excepted, wrong, since] = await Promise.all([
      listFailingEndpoints(pool, { ...of, after, limit: ENDPOINTS }),
      listRuleExceptions(pool, { ...of, now: clock(), limit: SHOWN }),
      listFalsePositives(pool, { ...of, after: null, limit: SHOWN }),
      longestFailing(pool, { checklistId: checklist.id, positions: [rule.position] }),
    ]);
    const names = await actorNames(pool, [
      ...excepted.items.map((one) => one.approvedBy),
      ...wrong.items.map((one) => one.by),
    ]);
    const base = `/compliance/${encodeURIComponent(checklist.name)}`;
    await shell.show(req, res, {
      view: 'rule',
      title: rule.title,
      current: '/compliance',
      data: {
        ...{ checklist, version, assignments, profile, base, rule },
        fix: fixInWords(rule),
        references: rule.references.filter(({ href }) => /^https?:\/\//.test(href)).slice(0, SHOWN),
        endpoints: page.items,
        longest: since.get(rule.position) ?? null,
        first: after === null,
        next: page.next === null ? null : `${base}/rules/${encodeURIComponent(rule.name)}?cursor=${page.next}`,
        moreExceptions: excepted.total - excepted.items.length,
        exceptions: excepted.items.map((one) => ({
          ...one,
          who: selectorInWords(one.selector),
          approver: names.get(one.approvedBy),
        })),
        wrong: wrong.items.map((one) => ({ ...one, by: names.get(one.by) })),
        moreWrong: wrong.next !== null,
        remediable: rule.noFixReason === null && assignments.some(mayBeRemediated),
        mayChange: shell.may(req, 'change.create'),
      },
    });
  });
  return router;
}

/** What a search form asked for; anything it does not offer is as if not asked. */
function searchOf(req: Request) {
  const one = (name: string): string => askedFor(req, name);
  const severity = (SEVERITIES as readonly string[]).includes(one('severity')) ? one('severity') : '';
  const fields = { q: one('q'), severity, show: one('show') === 'all' ? 'all' : '' };
  const given = Object.entries(fields).filter(([, value]) => value !== '');
  return {
    fields,
    search: { text: fields.q, severity, all: fields.show === 'all' },
    query: new URLSearchParams(given).toString(),
  };
}

/** Where the page asked for begins: they are of a list that was counted just now, so a place in it is enough. */
function pageFrom(req: Request, total: number): number {
  const from = Number(req.query.from);
  return Number.isSafeInteger(from) && from > 0 && from < total ? from : 0;
}
