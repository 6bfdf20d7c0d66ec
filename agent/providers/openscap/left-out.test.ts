// Rules that a host can't put right, through the whole agent: real files, real fixes, real journal; only the scanner is ours.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { removeWorlds, toTheEnd, type World, world } from '../../../test/helpers/agent-rig.js';
import { ORDER, old, orderDoc, update } from '../../../test/helpers/fake-host.js';
import { type Run, run } from '../../system/run.js';
import { createOpenscapProvider } from './index.js';

let dir: string;
let w: World;
const at = (path: string) => join(dir, path);
const idOf = (name: string) => `xccdf_org.example_rule_${name}`;
const FIXES: Readonly<Record<string, () => string>> = {
  motto: () => `echo done >${at('etc/motto')}\n`,
  broken: () => `echo ran >${at('etc/broken')}\nif then\n`,
  aide: () => 'DEBIAN_FRONTEND=noninteractive apt-get install -y "aide"\n',
  elsewhere: () => `echo ran >${at('etc/elsewhere')}\n`,
};
const REASONS = {
  broken: expect.stringMatching(/^its fix is no script: /),
  aide: 'its fix moves a package, and this host has no apt',
  elsewhere: 'elsewhere is 0-notapplicable, the plan says 0-fail',
};

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'ringmaster-left-out-'));
  for (const folder of ['etc', 'content']) mkdirSync(at(folder));
  w = world();
  w.contentDir = at('content');
  const ours: Run = async (argv, options) => {
    const done = { code: 0, stdout: '', stderr: '', timedOut: false };
    if (argv[0] !== '/usr/bin/oscap')
      return ['systemctl', 'sysctl'].includes(argv[0] ?? '') ? done : run(argv, options);
    const resultOf = (name: string) =>
      name === 'elsewhere' ? 'notapplicable' : existsSync(at(`etc/${name}`)) ? 'pass' : 'fail';
    const asked = Object.keys(FIXES).filter((name) => argv.includes(idOf(name)));
    return { ...done, code: 2, stdout: asked.map((name) => `${idOf(name)}:${resultOf(name)}\n`).join('') };
  };
  const provider = createOpenscapProvider({
    run: ours,
    content: { ensure: async () => at('content/stream') },
    orderDir: (id) => join(w.dir, 'orders', id),
    packages: null,
    largeDir: at('large'),
    roots: { content: [at('etc')], modes: [] },
    log: () => undefined,
  });
  Object.assign(w.host, { provider });
});
afterEach(() => {
  removeWorlds();
  rmSync(dir, { recursive: true, force: true });
});

const ended = async (...names: readonly string[]) => {
  const updates = names.map((name) => update(name, '0-fail', '1-pass'));
  for (const { name, sha256 } of updates) writeFileSync(at(`content/${sha256}`), FIXES[name]?.() ?? '');
  const file = { sha256: 'c'.repeat(64), size: 1 };
  const doc = orderDoc({
    provider: 'openscap',
    updates,
    previous: updates.map(({ name, sha256 }) => ({ ...old(name, '0-fail'), sha256 })),
    baseline: {
      checklist: 'c'.repeat(64),
      dataStream: file,
      tailoring: null,
      profile: 'xccdf_org.example_profile_all',
      rules: names.map((name) => ({ name, id: idOf(name) })),
      critical: [],
      handOver: false,
    },
  });
  const { state, reports } = await toTheEnd(w, doc);
  const detailOf = (type: string) => reports.find((report) => report.type === type)?.detail;
  return { state, detailOf, last: reports.at(-1) };
};
const declined = (...names: readonly (keyof typeof REASONS)[]) =>
  names.map((name) => ({ name, reason: REASONS[name] }));

test('are left out, each with its reason, and not even tried; the others are done and judged by themselves', async () => {
  const { state, detailOf } = await ended('motto', 'broken', 'aide', 'elsewhere');
  expect(state).toBe('succeeded');
  expect(readFileSync(at('etc/motto'), 'utf8')).toBe('done\n');
  expect(['broken', 'elsewhere'].map((name) => existsSync(at(`etc/${name}`)))).toEqual([false, false]);
  for (const type of ['staged', 'apply'])
    expect(detailOf(type)).toMatchObject({ declined: declined('elsewhere', 'broken', 'aide') });
  expect(detailOf('apply')).toMatchObject({ packages: [{ name: 'motto' }] });
  expect(detailOf('healthy')).toMatchObject({ versions: [{ name: 'motto', version: '1-pass' }] });
});

test('when they are all there is, the order is declined, and nothing has been touched', async () => {
  const { state, last } = await ended('broken', 'aide', 'elsewhere');
  expect([state, last]).toMatchObject([
    'skipped',
    { type: 'decline', detail: { declined: declined('elsewhere', 'broken', 'aide') } },
  ]);
  expect(existsSync(join(w.dir, 'orders', ORDER, 'snapshot'))).toBe(false);
});

test('what passes by now is done, and no reason to claim the rest', async () => {
  writeFileSync(at('etc/motto'), 'by hand');
  const { state, last } = await ended('motto', 'aide');
  expect([state, last]).toMatchObject(['skipped', { type: 'decline', detail: { declined: declined('aide') } }]);
});
