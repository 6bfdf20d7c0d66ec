/** What people tell a running change. Stops are committed as rows before the reply; everything goes on in the workflow. */
import { randomUUID } from 'node:crypto';
import type { PoolClient } from 'pg';
import type { z } from 'zod';
import { appendAudit } from '../../db/audit/append.js';
import { changeState, whyNoNewPlan } from '../../db/change/open.js';
import { enqueueCommand } from '../../db/outbox/enqueue.js';
import { inTransaction } from '../../db/pool.js';
import { changeWorkflowId } from '../../workflows/ids.js';
import type { Command, Verb } from '../../workflows/messages.js';
import type { ApiDeps, Stopped } from '../deps.js';
import { idParams } from '../http/paging.js';
import { conflict, notFound } from '../http/problem.js';
import { type Route, route } from '../http/route.js';
import { isUrgent } from '../http/urgent.js';
import { commandBodies, commandReply, stopAllBody, stopAllReply } from './schema.js';

const SUMMARIES = {
  pause: 'Stop releasing orders: nothing is released once this has answered',
  resume: 'Go on after a pause or a spent budget',
  abort: 'Stop for good and take back what has not begun',
  rollback: 'Put endpoints back to what they had before',
  'retry-failed': 'Try failed endpoints once more',
  skip: 'Leave one endpoint out',
  replan:
    'Make the plan again, between rings; one that asks for more voids the approvals of rings that have yet to open',
} as const satisfies Record<keyof typeof commandBodies, string>;

interface Words {
  readonly reason?: string | undefined;
  readonly ring?: number | undefined;
  readonly endpointId?: string | undefined;
  readonly ignoreWindows?: boolean | undefined;
}

export function commandRoutes(deps: ApiDeps): Route[] {
  const { pool } = deps;

  const tell = async (
    client: PoolClient,
    args: { changeId: string; verb: Verb; by: string; words: Words },
  ): Promise<string> => {
    const { changeId, verb, by, words } = args;
    const command: Command = { commandId: randomUUID(), verb, by, ...words };
    await enqueueCommand(client, { workflowId: changeWorkflowId(changeId), command });
    return command.commandId;
  };

  const commands = (Object.keys(SUMMARIES) as (keyof typeof SUMMARIES)[]).map((name): Route => {
    const verb: Verb = name === 'retry-failed' ? 'retryFailed' : name;
    return route({
      method: 'post',
      path: `/v1/changes/:id/${name}`,
      summary: SUMMARIES[name],
      permission: 'change.command',
      params: idParams,
      body: commandBodies[name] as z.ZodType<Words>,
      responses: { 202: { description: 'Told the change', schema: commandReply } },
      handler: async ({ params, body, person, now, req }) => {
        const by = person.actor;
        const reply = await inTransaction(isUrgent(req) ? deps.reserved : pool, async (client) => {
          const state = await changeState(client, params.id);
          if (state === 'unknown') throw notFound('change');
          if (state === 'closed') throw conflict('the change is closed');
          const noPlan = verb === 'replan' ? await whyNoNewPlan(client, params.id) : null;
          if (noPlan !== null) throw conflict(noPlan);
          const told = { changeId: params.id, verb, by, words: body };
          if (verb === 'pause' || verb === 'abort') {
            const stop = await deps.stops.haltChange(client, {
              changeId: params.id,
              verb,
              by,
              reason: body.reason ?? verb,
              now,
            });
            return { commandId: await tell(client, told), ...stopReply(stop) };
          }
          const commandId = await tell(client, told);
          const subject = `change/${params.id}`;
          await appendAudit(client, [{ actor: by, action: `change.${verb}`, subject, detail: { commandId, ...body } }]);
          return { commandId };
        });
        return { status: 202, body: reply };
      },
    });
  });

  return [
    ...commands,
    route({
      method: 'post',
      path: '/v1/stop-all',
      summary: 'Pause every open change: nothing is released once this has answered',
      permission: 'change.stopAll',
      body: stopAllBody,
      responses: { 202: { description: 'All are halted', schema: stopAllReply } },
      handler: async ({ body, person, now }) => {
        const by = person.actor;
        const reply = await inTransaction(deps.reserved, async (client) => {
          const halted = await deps.stops.haltAll(client, { by, reason: body.reason, now });
          const changes: { changeId: string; commandId: string }[] = [];
          for (const changeId of halted.changeIds) {
            const commandId = await tell(client, { changeId, verb: 'pause', by, words: { reason: body.reason } });
            changes.push({ changeId, commandId });
          }
          return { changes, ...stopReply(halted) };
        });
        return { status: 202, body: reply };
      },
    }),
  ];
}

function stopReply(stopped: Stopped) {
  const until = stopped.mayStillStartUntil;
  return {
    outstanding: stopped.outstanding,
    mayStillStartUntil: until === null ? null : new Date(until).toISOString(),
  };
}
