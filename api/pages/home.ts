/** The first page, and what waits for one's decision. */
import { Router } from 'express';
import { listChanges } from '../../db/read/changes.js';
import { readFleetNumbers } from '../../db/read/fleet.js';
import { listDecided, listWaiting } from '../../db/read/inbox.js';
import { DAY } from '../../domain/time.js';
import type { ConsoleDeps, Shell } from './shell.js';

const FLEET_EVENTS = '/v1/events';

export function homePages({ pool, clock }: ConsoleDeps, shell: Shell): Router {
  const router = Router();

  router.get('/', shell.needs('self.read'), async (req, res) => {
    const { accountId } = shell.person(req);
    const waiting = accountId === null ? [] : await listWaiting(pool, { accountId, limit: 6 });
    const sees = shell.may(req, 'change.read');
    const [fleet, open] = sees
      ? await Promise.all([
          readFleetNumbers(pool, clock() - DAY),
          listChanges(pool, { open: true, after: null, limit: 10 }),
        ])
      : [null, null];
    await shell.show(req, res, {
      view: 'home',
      title: 'Home',
      current: '/',
      ...(sees ? { events: FLEET_EVENTS } : {}),
      data: {
        waiting,
        fleet,
        open: open?.items ?? [],
        moreOpen: open?.next != null,
        mayStop: shell.may(req, 'change.stopAll'),
        mayEnrol: shell.may(req, 'joinToken.create'),
        mayEdit: shell.may(req, 'change.create'),
      },
    });
  });

  router.get('/approvals', shell.needs('approval.decide'), async (req, res) => {
    const { accountId } = shell.person(req);
    const [waiting, decided] =
      accountId === null
        ? [[], []]
        : await Promise.all([
            listWaiting(pool, { accountId, limit: 100 }),
            listDecided(pool, { accountId, limit: 20 }),
          ]);
    await shell.show(req, res, {
      view: 'approvals',
      title: 'Approvals',
      current: '/approvals',
      ...(shell.may(req, 'change.read') ? { events: FLEET_EVENTS } : {}),
      data: { waiting, decided },
    });
  });
  return router;
}
