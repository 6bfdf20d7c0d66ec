import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Hook } from '../../protocol/messages.js';
import { createRunChecks } from '../health/checks.js';
import { runHooks, stoppedBy } from '../hooks/hooks.js';
import { findTrustedProgram, writeFileDurably } from './files.js';
import { run } from './run.js';

let dir: string;
const ownerUid = process.getuid?.() ?? 0;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'files-'));
  chmodSync(dir, 0o755);
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));
const program = (name: string, body: string, mode = 0o755) => {
  writeFileSync(join(dir, name), `#!/bin/sh\n${body}\n`);
  chmodSync(join(dir, name), mode);
};

function openFolder(): void {
  program('drain', 'true');
  chmodSync(dir, 0o777);
}

describe('programs we run as root', () => {
  const find = (name: string, uid = ownerUid) => findTrustedProgram({ dir, name, ownerUid: uid });
  test('a plain executable of the owner', () => {
    program('drain', 'true');
    expect(find('drain')).toEqual({ ok: true, path: join(dir, 'drain') });
  });
  test.each([
    ['others can write it', () => program('drain', 'true', 0o777), 'drain', /written by others/],
    ['its group can write it', () => program('drain', 'true', 0o775), 'drain', /written by others/],
    ['it is not executable', () => program('drain', 'true', 0o644), 'drain', /not executable/],
    ['it is a link', () => symlinkSync('/bin/true', join(dir, 'drain')), 'drain', /not a plain file/],
    ['it is a folder', () => mkdirSync(join(dir, 'drain')), 'drain', /not a plain file/],
    ['there is none', () => undefined, 'drain', /not installed/],
    ['its name leads elsewhere', () => undefined, '../../bin/true', /not a plain name/],
    ['others can write its folder', () => openFolder(), 'drain', /written by others/],
  ])('%s: not run', (_, prepare, name, reason) => {
    prepare();
    expect(find(name)).toMatchObject({ ok: false, reason: expect.stringMatching(reason) });
  });
  test('it belongs to somebody else: not run', () => {
    program('drain', 'true');
    expect(find('drain', ownerUid + 1)).toMatchObject({ ok: false, reason: 'does not belong to root' });
  });
});

describe('hooks', () => {
  const hook = (name: string, over: Partial<Hook> = {}): Hook => ({
    name,
    when: 'before',
    onFailure: 'fail',
    timeoutSeconds: 5,
    ...over,
  });
  const runAll = (hooks: readonly Hook[]) =>
    runHooks({ hooks, when: 'before', dir, ownerUid, context: { orderId: 'o1', outcome: 'pending' }, run });

  test('run in order, told which order and moment it is', async () => {
    program('one', `echo "$RINGMASTER_ORDER $RINGMASTER_WHEN $RINGMASTER_OUTCOME" >>${dir}/log`);
    program('two', `echo two >>${dir}/log`);
    const results = await runAll([hook('one'), hook('two'), hook('later', { when: 'after' })]);
    expect(results.map((r) => r.ok)).toEqual([true, true]);
    expect(readFileSync(join(dir, 'log'), 'utf8')).toBe('o1 before pending\ntwo\n');
  });
  test('one that must succeed and fails stops the rest; one to ignore does not', async () => {
    program('bad', 'echo "no quorum" >&2; exit 3');
    program('next', `touch ${dir}/ran`);
    const ignored = await runAll([hook('bad', { onFailure: 'ignore' }), hook('next')]);
    expect(ignored.map((r) => r.ok)).toEqual([false, true]);
    expect(stoppedBy(ignored)).toBeNull();
    const stopped = await runAll([hook('bad'), hook('next')]);
    expect(stopped).toHaveLength(1);
    expect(stoppedBy(stopped)).toBe('hook bad failed (3): no quorum');
  });
  test('one that is not installed counts as failed', async () => {
    expect(stoppedBy(await runAll([hook('drain')]))).toBe(`hook drain is not installed in ${dir}`);
  });
  test('one that takes too long is ended with everything it started', async () => {
    program('slow', `sleep 300 & echo $! >${dir}/child; wait`);
    expect(stoppedBy(await runAll([hook('slow', { timeoutSeconds: 1 })]))).toBe('hook slow did not end within 1 s');
    const child = Number(readFileSync(join(dir, 'child'), 'utf8'));
    expect(stateOf(child)).toMatch(/^(gone|Z)$/);
  });
});

/** A killed process may stay a zombie for as long as nobody collects it. */
function stateOf(pid: number): string {
  try {
    return /\) (\S)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.[1] ?? 'gone';
  } catch {
    return 'gone';
  }
}

test('named checks pass by exit status, and say why not', async () => {
  program('fine', 'exit 0');
  program('sick', 'echo "replica lags" >&2; exit 1');
  const runChecks = createRunChecks({ run, checksDir: dir, ownerUid });
  const results = await runChecks([
    { type: 'named', name: 'fine' },
    { type: 'named', name: 'sick' },
    { type: 'port', port: 1 },
  ]);
  expect(results).toEqual([
    { check: 'check fine', problem: '' },
    { check: 'check sick', problem: 'failed (1): replica lags' },
    { check: 'port 1', problem: 'nothing listens there' },
  ]);
});

test('a file is replaced whole, with the mode asked for', () => {
  const path = join(dir, 'new-folder', 'key');
  writeFileDurably(path, 'one', 0o600);
  writeFileDurably(path, 'two', 0o600);
  expect(readFileSync(path, 'utf8')).toBe('two');
  expect(statSync(path).mode & 0o777).toBe(0o600);
});

describe('child processes', () => {
  test('never see our environment, never a shell', async () => {
    const result = await run(['printenv'], { env: { EXTRA: '$(id)' } });
    expect(result.stdout).toContain('EXTRA=$(id)\n');
    expect(result.stdout).not.toContain('NODE_OPTIONS');
  });
  test('one that does not exist is a result', async () => {
    expect(await run(['/nonexistent/program'])).toMatchObject({ code: 127, timedOut: false });
  });
});
