/** Gold standards: endpoints as they were, who is how far from one, and what differs on one endpoint. */
import { type Request, type Response, Router } from 'express';
import type { z } from 'zod';
import { actorNames } from '../../db/read/people.js';
import { linesOfSet } from '../../domain/baseline/drift.js';
import { shortRuleId } from '../../domain/baseline/rule-name.js';
import type { driftReply, endpointDriftReply, goldReply } from '../baselines/gold-schema.js';
import { idParams } from '../http/paging.js';
import { conflict, notFound, Problem } from '../http/problem.js';
import { cursorOf } from './changes.js';
import { inWords } from './commands.js';
import { fieldsOf, guardedForm, namedIn } from './forms.js';
import type { ConsoleDeps, Shell } from './shell.js';

const PAGE = 50;
/** Of packages and services; the command line has all. */
const SHOWN = 100;

type Gold = z.output<typeof goldReply>;
type Paged<T> = { readonly items: readonly T[]; readonly next: string | null };

export function goldStandardPages({ pool, forms }: ConsoleDeps, shell: Shell): Router {
  const router = Router();
  const guarded = guardedForm(forms);
  const may = shell.needs('baseline.read');
  const pageQuery = (req: Request) => {
    const cursor = cursorOf(req);
    return { limit: String(PAGE), ...(cursor !== undefined && { cursor }) };
  };
  const asked = async <T>(
    req: Request,
    path: string,
    more: { params?: Record<string, string>; query?: Record<string, string> },
  ): Promise<T> => (await shell.invoke(req, { method: 'get', path, ...more })).body as T;
  const pathOf = (name: string) => `/gold-standards/${encodeURIComponent(name)}`;
  /** With the person's name in place of the account. */
  const named = async (some: readonly Gold[]) => {
    const names = await actorNames(
      pool,
      some.map((one) => one.capturedBy),
    );
    return some.map((one) => ({ ...one, capturedBy: names.get(one.capturedBy), path: pathOf(one.name) }));
  };

  /** The list, with the form for another one as it was filled in. */
  const list = async (
    req: Request,
    res: Response,
    args: { fields: Readonly<Record<string, string>>; status: number; wrong: string },
  ): Promise<void> => {
    const page = await asked<Paged<Gold>>(req, '/v1/gold-standards', { query: pageQuery(req) });
    await shell.show(req, res, {
      view: 'gold-standards',
      title: 'Gold standards',
      current: '/compliance',
      status: args.status,
      data: {
        standards: await named(page.items),
        first: cursorOf(req) === undefined,
        next: page.next === null ? null : `/gold-standards?cursor=${page.next}`,
        mayEdit: shell.may(req, 'baseline.edit'),
        fields: args.fields,
        wrong: args.wrong,
      },
    });
  };

  router.get('/gold-standards', may, (req, res) => list(req, res, { fields: {}, status: 200, wrong: '' }));

  router.post('/gold-standards', shell.needs('baseline.edit'), ...guarded, async (req, res) => {
    const fields = fieldsOf(req, ['name', 'endpoint']);
    const { name = '', endpoint = '' } = fields;
    try {
      const endpointId = await endpointNamed(req, endpoint);
      await shell.invoke(req, {
        method: 'put',
        path: '/v1/gold-standards/:name',
        params: { name },
        body: { endpointId },
      });
      await shell.done(req, res, { path: pathOf(name), said: `${endpoint} is captured as it is now.` });
    } catch (error) {
      if (!(error instanceof Problem) || error.status >= 500) throw error;
      await list(req, res, { fields, status: error.status, wrong: `Not captured: ${inWords(error)}.` });
    }
  });

  /** @throws Problem 409 unless exactly one endpoint that is not retired has the name */
  const endpointNamed = async (req: Request, name: string): Promise<string> => {
    const query = { name, limit: '500' };
    const { items } = await asked<Paged<{ id: string; name: string; state: string }>>(req, '/v1/endpoints', { query });
    const found = items.filter((one) => one.name === name && one.state !== 'retired');
    if (found.length !== 1)
      throw conflict(found.length === 0 ? `no endpoint is called ${name}` : `several are called ${name}`);
    return found[0]?.id ?? '';
  };

  router.post('/gold-standards/:name/forget', shell.needs('baseline.edit'), ...guarded, async (req, res) => {
    const name = namedIn(req, 'name');
    await shell.invoke(req, { method: 'delete', path: '/v1/gold-standards/:name', params: { name } });
    await shell.done(req, res, { path: '/gold-standards', said: `${name} is forgotten.` });
  });

  router.get('/gold-standards/:name', may, async (req, res) => {
    const params = { name: namedIn(req, 'name') };
    const gold = await asked<Gold>(req, '/v1/gold-standards/:name', { params });
    const path = '/v1/gold-standards/:name/drift';
    const page = await asked<Paged<z.output<typeof driftReply>>>(req, path, { params, query: pageQuery(req) });
    const [standard] = await named([gold]);
    await shell.show(req, res, {
      view: 'gold-standard',
      title: gold.name,
      current: '/compliance',
      data: {
        standard,
        endpoints: page.items,
        first: cursorOf(req) === undefined,
        next: page.next === null ? null : `${pathOf(gold.name)}?cursor=${page.next}`,
        mayEdit: shell.may(req, 'baseline.edit'),
      },
    });
  });

  router.get('/gold-standards/:name/endpoints/:id', may, async (req, res) => {
    const { success, data } = idParams.safeParse({ id: req.params.id });
    if (!success) throw notFound('endpoint');
    const params = { name: namedIn(req, 'name'), endpoint: data.id };
    const gold = await asked<Gold>(req, '/v1/gold-standards/:name', { params: { name: params.name } });
    const endpoint = await asked<{ id: string; name: string }>(req, '/v1/endpoints/:id', { params: { id: data.id } });
    const path = '/v1/gold-standards/:name/endpoints/:endpoint/drift';
    const found = await asked<z.output<typeof endpointDriftReply>>(req, path, { params });
    await shell.show(req, res, {
      view: 'gold-drift',
      title: `${endpoint.name} compared with ${gold.name}`,
      current: '/compliance',
      data: {
        endpoint,
        gold: { name: gold.name, endpoint: gold.endpoint, path: pathOf(gold.name), capturedAt: gold.capturedAt },
        rules: found.rules.map((one) => ({ ...one, name: shortRuleId(one.rule) })),
        sets: [
          { id: 'packages', title: 'Packages', ...shownOf(found.packages) },
          { id: 'services', title: 'Services and listeners', ...shownOf(found.services) },
        ],
      },
    });
  });
  return router;
}

/** Lines of a set's differences, and how many more there are. */
function shownOf(drift: z.output<typeof endpointDriftReply>['packages']) {
  const lines = linesOfSet(drift).map((line) => ({ ...line, gold: line.gold ?? '–' }));
  return { lines: lines.slice(0, SHOWN), total: lines.length };
}
