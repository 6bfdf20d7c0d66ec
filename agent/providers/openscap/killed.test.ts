// The agent dies in the middle of a remediation: real files, real fixes, real journal; only the scanner is ours. Whoever boots next ends it.
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { boot, offer, removeWorlds, type World, world } from '../../../test/helpers/agent-rig.js';
import { ORDER, old, orderDoc, update } from '../../../test/helpers/fake-host.js';
import { JournalFailed } from '../../orders/ledger.js';
import { attributeAccess } from '../../system/attributes.js';
import { type Run, run } from '../../system/run.js';
import type { Provider } from '../provider.js';
import { createOpenscapProvider } from './index.js';

let dir: string;
let w: World;
let provider: Provider;
/** Said of each command before it runs; true: the agent is dead from here on. */
let dies: (argv: readonly string[]) => boolean;
let fixRuns: () => number;
const at = (path: string) => join(dir, path);
const RULE = 'motto';
const ID = `xccdf_org.example_rule_${RULE}`;
const DONE = { code: 0, stdout: '', stderr: '', timedOut: false };

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'ringmaster-killed-'));
  mkdirSync(at('etc/folder'), { recursive: true });
  mkdirSync(at('content'));
  writeFileSync(at('etc/folder/file'), 'before\n', { mode: 0o640 });
  writeFileSync(at('etc/gone'), 'was here\n');
  await attributeAccess(run).write(new Map([[at('etc/folder/file'), { 'user.kept': '00' }]]));
  dies = () => false;
  fixRuns = () => readFileSync(at('runs'), 'utf8').length;
  w = world();
  w.contentDir = at('content');
  const ours: Run = async (argv, options) => {
    if (dies(argv)) throw new Error('killed');
    if (argv[0] === '/usr/bin/oscap') {
      const passes = existsSync(at('etc/motto'));
      return { ...DONE, code: passes ? 0 : 2, stdout: `${ID}:${passes ? 'pass' : 'fail'}\n` };
    }
    return ['systemctl', 'sysctl'].includes(argv[0] ?? '') ? DONE : run(argv, options);
  };
  provider = createOpenscapProvider({
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

function order(fix: string) {
  const rule = update(RULE, '0-fail', '1-pass');
  writeFileSync(at(`content/${rule.sha256}`), `echo -n x >>${at('runs')}\n${fix}`);
  const file = { sha256: 'c'.repeat(64), size: 1 };
  return orderDoc({
    provider: 'openscap',
    updates: [rule],
    previous: [{ ...old(RULE, '0-fail'), sha256: rule.sha256 }],
    baseline: {
      checklist: 'c'.repeat(64),
      dataStream: file,
      tailoring: null,
      profile: 'xccdf_org.example_profile_all',
      rules: [{ name: RULE, id: ID }],
      critical: [],
      handOver: false,
    },
  });
}
const BREAKS = (where: string) =>
  `cd ${where}\necho after >folder/file\nchmod 700 folder\nrm gone\nmkdir new.d\necho new >new.d/one\n`;
const picture = () =>
  readdirSync(at('etc'), { recursive: true })
    .map(String)
    .sort()
    .map((path) => {
      const stat = statSync(at(`etc/${path}`));
      return [path, (stat.mode & 0o7777).toString(8), stat.isFile() ? readFileSync(at(`etc/${path}`), 'utf8') : ''];
    });

/** Boots agents, the first of which dies, until the order is over. */
async function live(doc: ReturnType<typeof order>, journalKill?: Parameters<typeof boot>[1]) {
  let deaths = 0;
  for (let boots = 0; boots < 6; boots++) {
    let dead = false;
    const agent = boot(w, boots === 0 ? journalKill : undefined);
    const killing = dies;
    dies = (argv) => {
      dead ||= killing(argv);
      if (dead) agent.die();
      return dead;
    };
    try {
      offer(agent.ledger, doc);
      await agent.executor.work();
    } catch (error) {
      if (!(error instanceof JournalFailed)) throw error;
      dead = true;
    }
    agent.close();
    const next = boot(w);
    const { core, reports } = next.ledger.entry(ORDER);
    next.close();
    if (!dead) return { deaths, state: core.state, types: reports.map(({ type }) => type) };
    deaths += 1;
    dies = () => false;
  }
  throw new Error('never came to an end');
}

const isWrite = (argv: readonly string[]) => argv[0] === '/usr/bin/perl' && (argv[2] ?? '').includes('my $hex');

describe('a fix that helps', () => {
  test.each<[string, (argv: readonly string[]) => boolean]>([
    ['while the snapshot is taken', (argv) => argv[0] === 'sync'],
    ['between the snapshot and the fix', (argv) => argv[0] === 'sysctl'],
    ['after the fix, before it is looked at', (argv) => argv[0] === '/usr/bin/perl' && existsSync(at('etc/motto'))],
    ['when the scanner is asked', (argv) => argv[0] === '/usr/bin/oscap' && existsSync(at('etc/motto'))],
  ])('killed %s: run once, and proven', async (_, when) => {
    dies = when;
    const ended = await live(order(`echo first >${at('etc/motto')}\n`));
    expect([ended, fixRuns()]).toEqual([
      { deaths: 1, state: 'succeeded', types: ['accept', 'staged', 'apply', 'applied', 'healthy'] },
      1,
    ]);
  });

  test.each([
    ['announced, and not on disk', 'before'],
    ['announced, on disk, and not begun', 'after'],
  ] as const)('killed when the start is %s: run once, and proven', async (_, when) => {
    const doc = order(`echo first >${at('etc/motto')}\n`);
    const undisturbed = boot(w);
    let announced = 0;
    try {
      offer(undisturbed.ledger, doc);
      await undisturbed.executor.work();
      announced = undisturbed.appends();
    } finally {
      undisturbed.close();
    }
    expect(announced).toBeGreaterThan(8);
    rmSync(w.dir, { recursive: true });
    rmSync(at('etc/motto'));
    rmSync(at('runs'));
    // After it come `applied` and `healthy`.
    const ended = await live(doc, { at: announced - 2, when });
    expect([ended, fixRuns()]).toEqual([
      { deaths: 1, state: 'succeeded', types: ['accept', 'staged', 'apply', 'applied', 'healthy'] },
      1,
    ]);
  });
});

describe('a fix that does harm', () => {
  test.each<[string, (argv: readonly string[]) => boolean]>([
    ['on the way back, before anything is', (argv) => argv[0] === '/usr/bin/perl' && existsSync(wayBack())],
    ['on the way back, with half of it done', isWrite],
    ['on the way back, with files back and services not', (argv) => argv[1] === 'daemon-reload'],
  ])('killed %s: everything is as before', async (_, when) => {
    const before = picture();
    dies = when;
    const ended = await live(order(BREAKS(at('etc'))));
    expect(ended).toEqual({
      deaths: 1,
      state: 'reverted',
      types: ['accept', 'staged', 'apply', 'revertBegun', 'reverted'],
    });
    expect([picture(), fixRuns()]).toEqual([before, 1]);
  });

  test('killed on the way back; what its owner changes until the next boot is his', async () => {
    dies = isWrite;
    const before = picture();
    const doc = order(BREAKS(at('etc')));
    const agent = boot(w);
    offer(agent.ledger, doc);
    await agent.executor.work();
    expect(agent.ledger.entry(ORDER).core.state).toBe('reverting');
    agent.close();
    dies = () => false;
    writeFileSync(at('etc/of-its-owner'), 'kept');
    chmodSync(at('etc/of-its-owner'), 0o600);
    expect((await live(doc)).state).toBe('reverted');
    expect(picture().filter(([path]) => path !== 'of-its-owner')).toEqual(before);
    expect(readFileSync(at('etc/of-its-owner'), 'utf8')).toBe('kept');
  });
});

const wayBack = () => join(w.dir, 'orders', ORDER, 'decided-back.json');

test('a way back that an agent before this one began is known by what it had decided to put back', async () => {
  const tx = { orderId: ORDER, dir: at('order'), changes: [] };
  mkdirSync(tx.dir);
  const ofOrder = provider.forOrder?.(order('true\n'));
  expect(await ofOrder?.hasBegun(tx, 'back')).toBe(false);
  writeFileSync(join(tx.dir, 'way-back.json'), '{"ours":[],"foreign":[]}');
  expect(await ofOrder?.hasBegun(tx, 'back')).toBe(true);
});
