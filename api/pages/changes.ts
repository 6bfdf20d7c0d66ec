/** Changes, and one of them live. */
import { type Request, Router } from 'express';
import { listLeftOut } from '../../db/baseline/declined-rules.js';
import { listAbout, listChangeApprovals, listFailed, readChangeAbout } from '../../db/read/change-view.js';
import { listChanges } from '../../db/read/changes.js';
import { actorNames } from '../../db/read/people.js';
import { readProgress } from '../../db/read/progress.js';
import { listTickets } from '../../db/read/tickets.js';
import { STRAGGLERS } from '../../domain/change/spec.js';
import { attentionInWords } from '../../domain/ticket/ticket.js';
import { changeWorkflowId } from '../../workflows/ids.js';
import { cursorParts, idParams } from '../http/paging.js';
import { notFound } from '../http/problem.js';
import { commandsFor } from './commands.js';
import { ringView, STEPS, stepsOf, waitsFor } from './progress-view.js';
import type { ConsoleDeps, Shell, TemporalUi } from './shell.js';

const PAGE = 50;
const FAILURES = 20;
const TRAIL = 30;
const TICKETS = 20;
const LEFT_OUT = 50;

export function changePages({ pool, temporalUi }: ConsoleDeps, shell: Shell): Router {
  const router = Router();

  router.get('/changes', shell.needs('change.read'), async (req, res) => {
    const only = req.query.show === 'open' || req.query.show === 'closed' ? req.query.show : 'all';
    const after = cursorParts(cursorOf(req), ['number', 'string']) as [number, string] | null;
    const open = only === 'all' ? null : only === 'open';
    const page = await listChanges(pool, { open, after, limit: PAGE });
    const names = await actorNames(
      pool,
      page.items.map((c) => c.requestedBy),
    );
    await shell.show(req, res, {
      view: 'changes',
      title: 'Changes',
      current: '/changes',
      data: {
        only,
        changes: page.items.map((c) => ({ ...c, requestedBy: names.get(c.requestedBy) })),
        next: page.next === null ? null : `/changes?show=${only}&cursor=${page.next}`,
        first: after === null,
        mayStop: shell.may(req, 'change.stopAll'),
      },
    });
  });

  router.get('/changes/:id', shell.needs('change.read'), async (req, res) => {
    const { success, data } = idParams.safeParse(req.params);
    const progress = success ? await readProgress(pool, data.id) : null;
    if (progress === null) throw notFound('change');
    const { id } = progress;
    const mayAudit = shell.may(req, 'audit.read');
    const [about, failed, approvals, tickets, trail] = await Promise.all([
      readChangeAbout(pool, id),
      listFailed(pool, { changeId: id, limit: FAILURES }),
      listChangeApprovals(pool, id),
      listTickets(pool, { filter: { changeId: id }, after: null, limit: TICKETS }),
      mayAudit ? listAbout(pool, { subject: `change/${id}`, limit: TRAIL }) : [],
    ]);
    if (about === null) throw notFound('change');
    const leftOut = about.kind === 'remediation' ? await listLeftOut(pool, { changeId: id, limit: LEFT_OUT }) : null;
    const names = await actorNames(pool, [about.requestedBy, ...trail.map((t) => t.actor)]);
    const rings = progress.rings.map(ringView);
    await shell.show(req, res, {
      view: 'change',
      title: progress.name,
      current: '/changes',
      events: `/v1/changes/${id}/events`,
      data: {
        change: { ...progress, ...about, requestedBy: names.get(about.requestedBy) },
        waits: waitsFor(progress),
        steps: stepsOf(progress),
        stepCount: STEPS.length,
        rings,
        stragglers: STRAGGLERS,
        failed,
        failedInAll: rings.reduce((n, ring) => n + ring.numbers.failed, 0),
        leftOut,
        approvals,
        tickets: tickets.items,
        attentionInWords,
        moreTickets: tickets.next !== null,
        trail: trail.map((t) => ({ ...t, actor: names.get(t.actor), says: detailInWords(t.detail) })),
        mayAudit,
        commands: shell.may(req, 'change.command') ? commandsFor(progress) : [],
        temporal: temporalUi === null ? null : temporalLink(temporalUi, id),
      },
    });
  });
  return router;
}

export const cursorOf = (req: Request): string | undefined =>
  typeof req.query.cursor === 'string' && req.query.cursor !== '' ? req.query.cursor : undefined;

function temporalLink({ url, namespace }: TemporalUi, changeId: string): string {
  return `${url}/namespaces/${encodeURIComponent(namespace)}/workflows/${encodeURIComponent(changeWorkflowId(changeId))}`;
}

const SPOKEN = ['reason', 'name', 'verb', 'ring', 'outcome', 'decision', 'comment', 'until'];

/** What of an entry's detail a person reads first. */
export function detailInWords(detail: object): string {
  return Object.entries(detail)
    .filter(([key, value]) => SPOKEN.includes(key) && ['string', 'number'].includes(typeof value) && value !== '')
    .map(([key, value]) => (key === 'ring' ? `ring ${value}` : String(value)))
    .join(', ')
    .slice(0, 300);
}
