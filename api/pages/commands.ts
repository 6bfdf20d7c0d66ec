/** What people tell a change, as forms: a page that says what will happen, then the same route as over the API. */
import express, { type Request, type Response, Router } from 'express';
import { findPlanned } from '../../db/read/change-view.js';
import { type Progress, readProgress } from '../../db/read/progress.js';
import { refuseForeign } from '../auth/csrf.js';
import { idParams } from '../http/paging.js';
import { notFound, Problem } from '../http/problem.js';
import { ringView } from './progress-view.js';
import type { ConsoleDeps, Shell } from './shell.js';

interface CommandPage {
  readonly name: string;
  readonly text: string;
  readonly explains: string;
  readonly danger: boolean;
  readonly reason: 'required' | 'optional';
  readonly fields: readonly ('ring' | 'ignoreWindows' | 'endpoint')[];
  readonly possible: (progress: Progress) => boolean;
  readonly said: string;
}

const failures = (progress: Progress): number =>
  progress.rings.reduce((n, ring) => n + ring.counts.change.failed + ring.counts.revert.failed, 0);
const betweenRings = (progress: Progress): boolean =>
  progress.planRevision > 0 &&
  progress.stage !== 'confirm' &&
  progress.rings.some(({ state }) => state === 'waiting') &&
  !progress.rings.some(({ state }) => ['open', 'soaking', 'rollingBack'].includes(state));
const heldUp = (progress: Progress): boolean => progress.halted || progress.rings.some((ring) => ring.halted);

const COMMANDS: readonly CommandPage[] = [
  {
    name: 'pause',
    text: 'Pause',
    explains: 'Nothing more is released once this has answered. What is under way on an endpoint finishes.',
    danger: false,
    reason: 'optional',
    fields: [],
    possible: (progress) => !progress.halted,
    said: 'Paused: nothing more is released',
  },
  {
    name: 'resume',
    text: 'Resume',
    explains: 'Goes on after a pause, or after a ring was halted. Failures so far are accepted.',
    danger: false,
    reason: 'optional',
    fields: ['ring'],
    possible: (progress) => heldUp(progress) && progress.haltVerb !== 'abort',
    said: 'Told to go on',
  },
  {
    name: 'retry-failed',
    text: 'Retry failed',
    explains: 'Endpoints that failed get one more attempt, in their windows.',
    danger: false,
    reason: 'optional',
    fields: ['ring'],
    possible: (progress) => failures(progress) > 0,
    said: 'Told to try failed endpoints once more',
  },
  {
    name: 'skip',
    text: 'Skip an endpoint',
    explains: 'The endpoint is left out of this change. What already happened on it stays.',
    danger: false,
    reason: 'required',
    fields: ['endpoint'],
    possible: () => true,
    said: 'Told to leave the endpoint out',
  },
  {
    name: 'replan',
    text: 'Plan again',
    explains:
      'Makes the plan anew from what is known now: inventories, catalogue, exceptions. Approvals stay unless it asks for more.',
    danger: false,
    reason: 'optional',
    fields: [],
    possible: (progress) => progress.haltVerb !== 'abort' && betweenRings(progress),
    said: 'Told to make the plan again',
  },
  {
    name: 'rollback',
    text: 'Roll back',
    explains: 'Endpoints are put back to what they had before this change, the last ring first.',
    danger: true,
    reason: 'required',
    fields: ['ring', 'ignoreWindows'],
    possible: () => true,
    said: 'Told to roll back',
  },
  {
    name: 'abort',
    text: 'Abort',
    explains:
      'Stops for good and takes back what has not begun. What is installed stays: to undo it, roll back instead.',
    danger: true,
    reason: 'required',
    fields: [],
    possible: (progress) => progress.haltVerb !== 'abort',
    said: 'Aborted: nothing more is released',
  },
];

/** The commands that make sense now, for the change's page. */
export function commandsFor(progress: Progress): readonly Pick<CommandPage, 'name' | 'text' | 'danger'>[] {
  if (progress.closedAt !== null) return [];
  return COMMANDS.filter((command) => command.possible(progress)).map(({ name, text, danger }) => ({
    name,
    text,
    danger,
  }));
}

type Fields = Readonly<Record<string, string>>;

export function commandPages({ pool, forms }: ConsoleDeps, shell: Shell): Router {
  const router = Router();
  const readForm = express.urlencoded({ extended: false, limit: '20kb' });
  const guarded = [refuseForeign, readForm, forms.requireFormToken];

  const found = async (req: Request): Promise<{ command: CommandPage; progress: Progress }> => {
    const command = COMMANDS.find(({ name }) => name === req.params.command);
    const { success, data } = idParams.safeParse({ id: req.params.id });
    const progress = command !== undefined && success ? await readProgress(pool, data.id) : null;
    if (command === undefined || progress === null) throw notFound('page');
    return { command, progress };
  };

  const ask = async (
    req: Request,
    res: Response,
    args: { command: CommandPage; progress: Progress; fields: Fields; status: number; wrong: string },
  ): Promise<void> => {
    const { command, progress, fields, status, wrong } = args;
    await shell.show(req, res, {
      view: 'command',
      title: `${command.text}: ${progress.name}`,
      current: '/changes',
      status,
      data: { command, change: progress, rings: progress.rings.map(ringView), fields, wrong },
    });
  };

  router.get('/changes/:id/:command', shell.needs('change.command'), async (req, res) => {
    const { command, progress } = await found(req);
    const wrong = progress.closedAt === null ? '' : 'The change is closed: nothing can be told to it any more.';
    const endpoint = typeof req.query.endpoint === 'string' ? req.query.endpoint : '';
    await ask(req, res, { command, progress, fields: { endpoint }, status: 200, wrong });
  });

  router.post('/changes/:id/:command', shell.needs('change.command'), ...guarded, async (req, res) => {
    const { command, progress } = await found(req);
    const fields = fieldsOf(req);
    try {
      const endpointId = command.fields.includes('endpoint')
        ? await findPlanned(pool, { changeId: progress.id, name: fields.endpoint ?? '' })
        : undefined;
      if (endpointId === null) throw badField('Endpoint: this change has none of that name');
      const reply = await shell.invoke(req, {
        method: 'post',
        path: `/v1/changes/:id/${command.name}`,
        params: { id: progress.id },
        body: bodyOf(command, fields, endpointId),
      });
      await shell.done(req, res, {
        path: `/changes/${progress.id}`,
        said: `${command.said}.${stillMoving(reply.body)}`,
      });
    } catch (error) {
      if (!(error instanceof Problem) || error.status >= 500) throw error;
      await ask(req, res, { command, progress, fields, status: error.status, wrong: inWords(error) });
    }
  });

  const askStopAll = async (req: Request, res: Response, args: { status: number; wrong: string; reason: string }) =>
    shell.show(req, res, {
      view: 'stop-all',
      title: 'Stop everything',
      current: '/changes',
      status: args.status,
      data: args,
    });

  router.get('/stop-all', shell.needs('change.stopAll'), (req, res) =>
    askStopAll(req, res, { status: 200, wrong: '', reason: '' }),
  );

  router.post('/stop-all', shell.needs('change.stopAll'), ...guarded, async (req, res) => {
    const { reason = '' } = fieldsOf(req);
    try {
      const reply = await shell.invoke(req, { method: 'post', path: '/v1/stop-all', body: { reason } });
      const stopped = (reply.body as { changes: readonly unknown[] }).changes.length;
      const said = `${stopped} open ${stopped === 1 ? 'change is' : 'changes are'} paused: nothing more is released.`;
      await shell.done(req, res, { path: '/changes', said: said + stillMoving(reply.body) });
    } catch (error) {
      if (!(error instanceof Problem) || error.status >= 500) throw error;
      await askStopAll(req, res, { status: error.status, wrong: inWords(error), reason });
    }
  });
  return router;
}

const badField = (detail: string): Problem =>
  new Problem({ status: 400, type: 'invalid-request', title: 'The request is not valid', detail });

function fieldsOf(req: Request): Fields {
  const body = (req.body ?? {}) as Record<string, unknown>;
  return Object.fromEntries(
    Object.entries(body).filter((pair): pair is [string, string] => typeof pair[1] === 'string'),
  );
}

/** What is left empty is not said. */
function bodyOf(command: CommandPage, fields: Fields, endpointId: string | undefined): object {
  const { reason = '', ring = '', ignoreWindows } = fields;
  return {
    ...(reason.trim() === '' && command.reason === 'optional' ? {} : { reason }),
    ...(command.fields.includes('ring') && ring !== '' ? { ring: Number(ring) } : {}),
    ...(command.fields.includes('ignoreWindows') && ignoreWindows === 'yes' ? { ignoreWindows: true } : {}),
    ...(endpointId === undefined ? {} : { endpointId }),
  };
}

/** For stops: what may still start. */
function stillMoving(body: unknown): string {
  const { outstanding = 0, mayStillStartUntil = null } = (body ?? {}) as {
    outstanding?: number;
    mayStillStartUntil?: string | null;
  };
  if (outstanding === 0 || mayStillStartUntil === null) return '';
  return ` ${outstanding} ${outstanding === 1 ? 'endpoint holds' : 'endpoints hold'} a permit and may still start until ${mayStillStartUntil.slice(11, 19)} UTC.`;
}

/** What was wrong, field by field, as a person reads it. */
export function inWords(problem: Problem): string {
  const said = (problem.options.errors ?? []).map(({ field, reason }) =>
    field === '' ? reason : `${field}: ${reason}`,
  );
  return said.length > 0 ? said.join('; ') : problem.message;
}
