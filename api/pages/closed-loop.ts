/** The closed loop: what an auditor asks of each change, tickets that are not as they were set, and what no change explains. */
import { Router } from 'express';
import { listUnexplainedRuleChanges } from '../../db/baseline/unexplained.js';
import { listLoop, listUnexplained } from '../../db/read/closed-loop.js';
import { listTickets } from '../../db/read/tickets.js';
import { attentionInWords } from '../../domain/ticket/ticket.js';
import { loopView } from '../closed-loop/view.js';
import { cursorParts } from '../http/paging.js';
import { cursorOf } from './changes.js';
import type { ConsoleDeps, Shell } from './shell.js';

const PAGE = 30;
/** Of what wants a look; the rest is a link away. */
const SHOWN = 10;

export function closedLoopPages({ pool }: ConsoleDeps, shell: Shell): Router {
  const router = Router();

  router.get('/closed-loop', shell.needs('closedLoop.read'), async (req, res) => {
    const after = cursorParts(cursorOf(req), ['number', 'string']) as [number, string] | null;
    const [page, unexplained, rules, byHand] = await Promise.all([
      listLoop(pool, { open: null, changeId: null, after, limit: PAGE }),
      listUnexplained(pool, { endpointId: null, explained: false, after: null, limit: SHOWN }),
      listUnexplainedRuleChanges(pool, { endpointId: null, explained: false, after: null, limit: SHOWN }),
      listTickets(pool, { filter: { attention: true }, after: null, limit: SHOWN }),
    ]);
    await shell.show(req, res, {
      view: 'closed-loop',
      title: 'Closed loop',
      current: '/closed-loop',
      data: {
        changes: page.items.map(loopView),
        first: after === null,
        next: page.next === null ? null : `/closed-loop?cursor=${page.next}`,
        unexplained: unexplained.items,
        moreUnexplained: unexplained.next !== null,
        rules: rules.items,
        moreRules: rules.next !== null,
        byHand: byHand.items,
        attentionInWords,
      },
    });
  });

  router.get('/closed-loop/unexplained', shell.needs('closedLoop.read'), async (req, res) => {
    const after = cursorParts(cursorOf(req), ['number', 'string']) as [number, string] | null;
    const [page, rules] = await Promise.all([
      listUnexplained(pool, { endpointId: null, explained: null, after, limit: PAGE }),
      listUnexplainedRuleChanges(pool, { endpointId: null, explained: null, after: null, limit: SHOWN }),
    ]);
    await shell.show(req, res, {
      view: 'unexplained',
      title: 'Changes that no ticket explains',
      current: '/closed-loop',
      data: {
        unexplained: page.items,
        first: after === null,
        next: page.next === null ? null : `/closed-loop/unexplained?cursor=${page.next}`,
        rules: rules.items,
        moreRules: rules.next !== null,
      },
    });
  });

  router.get('/closed-loop/unexplained-rules', shell.needs('closedLoop.read'), async (req, res) => {
    const after = (cursorParts(cursorOf(req), ['number'])?.[0] ?? null) as number | null;
    const page = await listUnexplainedRuleChanges(pool, { endpointId: null, explained: null, after, limit: PAGE });
    await shell.show(req, res, {
      view: 'unexplained-rules',
      title: 'Changes of rules that no ticket explains',
      current: '/closed-loop',
      data: {
        rules: page.items,
        first: after === null,
        next: page.next === null ? null : `/closed-loop/unexplained-rules?cursor=${page.next}`,
      },
    });
  });
  return router;
}
