/** The fleet, and one endpoint: what it is, what it has, what happened to it and why it is not patched. */
import express, { type Request, Router } from 'express';
import { listEndpointAssessments } from '../../db/baseline/compliance.js';
import {
  type EndpointSearch,
  listEndpointOrders,
  readEndpointAbout,
  searchEndpoints,
  searchPackages,
} from '../../db/read/endpoint-view.js';
import { listOwnFindings } from '../../db/read/findings.js';
import { fixInWords } from '../../domain/baseline/fix-words.js';
import { DAY, HOUR } from '../../domain/time.js';
import { refuseForeign } from '../auth/csrf.js';
import { cursorParts, idParams } from '../http/paging.js';
import { notFound, Problem } from '../http/problem.js';
import { cursorOf } from './changes.js';
import { inWords } from './commands.js';
import type { ConsoleDeps, Shell } from './shell.js';
import { whyOf } from './why.js';

const PAGE = 50;
const PACKAGES = 100;
const ORDERS = 15;
const STEPS_SHOWN = 12;
/** Failing rules of each baseline; the rest is a link away. */
const FINDINGS = 5;
/** How long one can hold an endpoint with two clicks. */
const HOLDS: readonly { readonly hours: number; readonly text: string }[] = [
  { hours: 4, text: '4 hours' },
  { hours: 24, text: '1 day' },
  { hours: 7 * 24, text: '1 week' },
  { hours: 30 * 24, text: '30 days' },
];

export function endpointPages({ pool, clock, forms }: ConsoleDeps, shell: Shell): Router {
  const router = Router();
  const readForm = express.urlencoded({ extended: false, limit: '20kb' });
  const guarded = [refuseForeign, readForm, forms.requireFormToken];

  router.get('/endpoints', shell.needs('endpoint.read'), async (req, res) => {
    const asked = searchOf(req, clock());
    const after = cursorParts(cursorOf(req), [asked.search.sort === 'name' ? 'string' : 'number', 'string']);
    const page = await searchEndpoints(pool, {
      search: asked.search,
      after: after as [string | number, string] | null,
      limit: PAGE,
    });
    await shell.show(req, res, {
      view: 'endpoints',
      title: 'Endpoints',
      current: '/endpoints',
      data: {
        endpoints: page.items,
        asked: asked.fields,
        searching: asked.searching,
        first: after === null,
        next: page.next === null ? null : `/endpoints?${asked.query}&cursor=${page.next}`,
        mayEnrol: shell.may(req, 'joinToken.create'),
        silentSince: clock() - DAY,
      },
    });
  });

  const idOf = (req: Request): string => {
    const { success, data } = idParams.safeParse({ id: req.params.id });
    if (!success) throw notFound('endpoint');
    return data.id;
  };

  router.get('/endpoints/:id', shell.needs('endpoint.read'), async (req, res) => {
    const id = idOf(req);
    const measured = shell.may(req, 'baseline.read');
    const [endpoint, orders, why, assessments, findings] = await Promise.all([
      readEndpointAbout(pool, id),
      listEndpointOrders(pool, { endpointId: id, limit: ORDERS, steps: STEPS_SHOWN }),
      whyOf(shell, req, id),
      measured ? listEndpointAssessments(pool, id) : [],
      measured ? listOwnFindings(pool, { endpointId: id, limit: FINDINGS }) : [],
    ]);
    if (endpoint === null) throw notFound('endpoint');
    await shell.show(req, res, {
      view: 'endpoint',
      title: endpoint.name,
      current: '/endpoints',
      data: {
        endpoint,
        orders,
        why,
        baselines: assessments.map((one) => ({
          ...one,
          findings: findings
            .filter(({ checklist }) => checklist === one.checklist)
            .map((finding) => ({ ...finding, fix: fixInWords(finding) })),
        })),
        facts: plain(endpoint.facts),
        observations: plain(endpoint.observations),
        limits: plain(endpoint.localLimits),
        labels: Object.entries(endpoint.labels),
        holds: HOLDS,
        mayPatch: shell.may(req, 'endpoint.patch') && endpoint.state === 'active' && !endpoint.scanOnly,
        mayScan: shell.may(req, 'endpoint.scan') && endpoint.state === 'active',
        mayEdit: shell.may(req, 'endpoint.edit') && endpoint.state !== 'retired',
      },
    });
  });

  router.get('/endpoints/:id/packages', shell.needs('endpoint.read'), async (req, res) => {
    const id = idOf(req);
    const endpoint = await readEndpointAbout(pool, id);
    if (endpoint === null) throw notFound('endpoint');
    const text = typeof req.query.q === 'string' ? req.query.q.trim().slice(0, 200) : '';
    const after = cursorParts(cursorOf(req), ['string', 'string']) as [string, string] | null;
    const page = await searchPackages(pool, {
      endpointId: id,
      text: text === '' ? null : text,
      after,
      limit: PACKAGES,
    });
    const query = new URLSearchParams(text === '' ? {} : { q: text });
    await shell.show(req, res, {
      view: 'packages',
      title: `Packages of ${endpoint.name}`,
      current: '/endpoints',
      data: {
        endpoint,
        packages: page.items,
        text,
        first: after === null,
        next: page.next === null ? null : `/endpoints/${id}/packages?${query}&cursor=${page.next}`,
      },
    });
  });

  router.post('/endpoints/:id/scan', shell.needs('endpoint.scan'), ...guarded, async (req, res) => {
    const id = idOf(req);
    await shell.invoke(req, { method: 'post', path: '/v1/endpoints/:id/scan', params: { id } });
    await shell.done(req, res, {
      path: `/endpoints/${id}`,
      said: 'It will be asked for a fresh scan at its next poll.',
    });
  });

  router.post('/endpoints/:id/patch', shell.needs('endpoint.patch'), ...guarded, async (req, res) => {
    const id = idOf(req);
    const { reason } = (req.body ?? {}) as Record<string, unknown>;
    const body = { reason: typeof reason === 'string' ? reason : '' };
    try {
      const reply = await shell.invoke(req, { method: 'post', path: '/v1/endpoints/:id/patch', params: { id }, body });
      const { changeId, waitsFor } = reply.body as { changeId: string; waitsFor: readonly string[] };
      const waits = waitsFor.map((reason) => `Its endpoint: ${reason}.`).join(' ');
      await shell.done(req, res, { path: `/changes/${changeId}`, said: `The change has started. ${waits}`.trim() });
    } catch (error) {
      if (!(error instanceof Problem) || error.status >= 500) throw error;
      await shell.done(req, res, { path: `/endpoints/${id}`, said: `Not started: ${inWords(error)}.` });
    }
  });

  router.post('/endpoints/:id/hold', shell.needs('endpoint.edit'), ...guarded, async (req, res) => {
    const id = idOf(req);
    const { hours, reason, lift } = (req.body ?? {}) as Record<string, unknown>;
    const span = HOLDS.find((hold) => String(hold.hours) === hours) ?? HOLDS[0];
    const until = new Date(clock() + (span?.hours ?? 1) * HOUR).toISOString();
    const hold = lift === 'yes' ? null : { until, reason: typeof reason === 'string' ? reason : '' };
    try {
      await shell.invoke(req, { method: 'patch', path: '/v1/endpoints/:id', params: { id }, body: { hold } });
      const said = hold === null ? 'The hold is lifted.' : `Held for ${span?.text}: it gets no change until then.`;
      await shell.done(req, res, { path: `/endpoints/${id}`, said });
    } catch (error) {
      if (!(error instanceof Problem) || error.status !== 400) throw error;
      await shell.done(req, res, { path: `/endpoints/${id}`, said: `Not held: ${inWords(error)}.` });
    }
  });
  return router;
}

interface Asked {
  readonly search: EndpointSearch;
  readonly fields: Readonly<Record<'q' | 'state' | 'silent' | 'updates' | 'sort', string>>;
  readonly query: string;
  readonly searching: boolean;
}

/** What a search form asked for; anything it does not offer is as if not asked. */
function searchOf(req: Request, now: number): Asked {
  const one = (name: string): string => {
    const value = req.query[name];
    return typeof value === 'string' ? value.trim().slice(0, 300) : '';
  };
  const among = (value: string, allowed: readonly string[]): string => (allowed.includes(value) ? value : '');
  const fields = {
    q: one('q'),
    state: among(one('state'), ['active', 'quarantined', 'retired']),
    silent: among(one('silent'), ['1', '24', '168']),
    updates: among(one('updates'), ['yes']),
    sort: among(one('sort'), ['silent']),
  };
  const given = Object.entries(fields).filter(([, value]) => value !== '');
  return {
    search: {
      text: fields.q === '' ? null : fields.q,
      state: fields.state === '' ? null : (fields.state as EndpointSearch['state']),
      silentSince: fields.silent === '' ? null : now - Number(fields.silent) * HOUR,
      withUpdates: fields.updates !== '',
      sort: fields.sort === 'silent' ? 'silent' : 'name',
    },
    fields,
    query: new URLSearchParams(given).toString(),
    searching: given.some(([name]) => name !== 'sort'),
  };
}

/** What an endpoint told, as lines of text: it is data of a stranger, and may be large. */
function plain(value: Readonly<Record<string, unknown>>): readonly (readonly [string, string])[] {
  return Object.entries(value)
    .slice(0, 40)
    .map(([key, v]) => [key, (typeof v === 'string' ? v : JSON.stringify(v)).slice(0, 400)] as const);
}
