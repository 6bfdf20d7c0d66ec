/** The audit log. */
import { Router } from 'express';
import { listAudit } from '../../db/read/audit.js';
import { actorNames } from '../../db/read/people.js';
import { cursorParts } from '../http/paging.js';
import { cursorOf, detailInWords } from './changes.js';
import type { ConsoleDeps, Shell } from './shell.js';

const PAGE = 50;

export function auditPages({ pool }: ConsoleDeps, shell: Shell): Router {
  const router = Router();
  router.get('/audit', shell.needs('audit.read'), async (req, res) => {
    const one = (name: string): string => {
      const value = req.query[name];
      return typeof value === 'string' ? value.trim().slice(0, 300) : '';
    };
    const asked = { subject: one('subject'), actor: one('actor'), action: one('action') };
    const before = (cursorParts(cursorOf(req), ['number'])?.[0] ?? null) as number | null;
    const page = await listAudit(pool, {
      subject: asked.subject || null,
      actor: asked.actor || null,
      action: asked.action || null,
      before,
      limit: PAGE,
    });
    const names = await actorNames(
      pool,
      page.items.map((entry) => entry.actor),
    );
    const query = new URLSearchParams(Object.entries(asked).filter(([, value]) => value !== ''));
    await shell.show(req, res, {
      view: 'audit',
      title: 'Audit log',
      current: '/audit',
      data: {
        asked,
        entries: page.items.map((entry) => ({
          ...entry,
          actor: names.get(entry.actor),
          says: detailInWords(entry.detail),
          href: pageOfSubject(entry.subject),
        })),
        first: before === null,
        next: page.next === null ? null : `/audit?${query}&cursor=${page.next}`,
      },
    });
  });
  return router;
}

/** The page about a subject, where there is one. */
function pageOfSubject(subject: string): string | null {
  const match = /^(change|endpoint)\/([0-9a-f-]{36})$/.exec(subject);
  return match === null ? null : `/${match[1]}s/${match[2]}`;
}
