/** What CI reads of a run: every test counted once, as it ended, and what needed a second try by name. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { repositoryRoot } from '../test/helpers/repository.js';

const dir = mkdtempSync(join(tmpdir(), 'test-report-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

type Tests =
  | Readonly<Record<string, 'passed' | 'failed' | 'pending' | 'todo'>>
  | readonly (readonly [string, string])[];
/** One file as `jest --json` tells of it; null: it could not be loaded. */
function file(name: string, tests: Tests | null) {
  const all = tests === null ? [] : Array.isArray(tests) ? tests : Object.entries(tests);
  return {
    name: join(repositoryRoot, name),
    status: tests === null || all.some(([, status]) => status === 'failed') ? 'failed' : 'passed',
    assertionResults: all.map(([fullName, status]) => ({ fullName, status })),
  };
}
const tried = (status: number, ...processes: (readonly ReturnType<typeof file>[])[]) => ({
  status,
  reports: processes.map((testResults) => ({ testResults })),
});

function told(...tries: readonly ReturnType<typeof tried>[]) {
  const path = join(dir, 'tries.json');
  writeFileSync(path, JSON.stringify(tries));
  const { status, stdout } = spawnSync(process.execPath, [join(repositoryRoot, 'scripts/test-report.mjs'), path], {
    encoding: 'utf8',
  });
  return { status, lines: stdout.trimEnd().split('\n') };
}

test('one try that went well', () => {
  expect(told(tried(0, [file('a.test.ts', { one: 'passed', two: 'pending', three: 'todo' })]))).toEqual({
    status: 0,
    lines: ['skipped: a.test.ts: two', 'skipped: a.test.ts: three', '1 passed, 0 failed, 2 skipped'],
  });
});

test('several processes of one try are counted together', () => {
  const run = tried(1, [file('a.test.ts', { one: 'passed' })], [file('b.test.ts', { one: 'failed', two: 'passed' })]);
  expect(told(run)).toEqual({ status: 1, lines: ['2 passed, 1 failed'] });
});

test('what passes when tried again is counted once, with all the rest, and named', () => {
  const first = tried(
    1,
    [file('a.test.ts', { one: 'passed', two: 'passed' })],
    [file('b.test.ts', { one: 'failed', two: 'passed' }), file('c.test.ts', null)],
  );
  const second = tried(0, [
    file('b.test.ts', { one: 'passed', two: 'passed' }),
    file('c.test.ts', { one: 'passed', two: 'pending' }),
  ]);
  expect(told(first, second)).toEqual({
    status: 0,
    lines: [
      'skipped: c.test.ts: two',
      'passed only when tried again: b.test.ts: one',
      'passed only when tried again: c.test.ts, as a whole',
      '5 passed, 0 failed, 1 skipped',
    ],
  });
});

test('what fails when tried again has failed: the same test, or one that had passed', () => {
  const first = tried(1, [file('a.test.ts', { one: 'failed', two: 'passed', three: 'failed' })]);
  const second = tried(1, [file('a.test.ts', { one: 'failed', two: 'failed', three: 'passed' })]);
  expect(told(first, second)).toEqual({
    status: 1,
    lines: ['passed only when tried again: a.test.ts: three', '1 passed, 2 failed'],
  });
});

test('two tests of the same name are two', () => {
  const alike = (status: string) =>
    [
      ['row', 'passed'],
      ['row', status],
    ] as const;
  const tries = [tried(1, [file('a.test.ts', alike('failed'))]), tried(0, [file('a.test.ts', alike('passed'))])];
  expect(told(...tries)).toEqual({
    status: 0,
    lines: ['passed only when tried again: a.test.ts: row', '2 passed, 0 failed'],
  });
});

test.each([
  ['jest died', [tried(1)]],
  ['jest died, and nothing was there to be tried again', [tried(1), tried(0)]],
  ['a tear-down threw', [tried(1, [file('a.test.ts', { one: 'passed' })]), tried(0)]],
  ['nothing was tried', []],
])('%s: not well, whatever came after', (_, tries) => {
  expect(told(...tries).status).toBe(1);
});
