// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the strings are code
/** The lint of workflow code: on ours, and on snippets it must tell apart. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

const script = join(dirname(fileURLToPath(import.meta.url)), 'check-determinism.mjs');
const lint = (...args: string[]) => spawnSync(process.execPath, [script, ...args], { encoding: 'utf8' });

/** What is found in each: line and rule. */
const BAD: Readonly<Record<string, readonly [code: string, faults: readonly string[]]>> = {
  now: ['export const x = Date.now();', ['1: uses the clock']],
  inTemplate: ['export const x = `at ${Date.now()}`;', ['1: uses the clock']],
  inTemplateInTemplate: ['export const x = `a ${`b ${new Date()}`}`;', ['1: uses the clock']],
  overLines: ['export const x = `a\n${\n  Date.now()\n}`;', ['3: uses the clock']],
  afterComment: ['/* soon */ export const x = Date.now();', ['1: uses the clock']],
  afterDocComment: ['/** Now.\n */ export const x = Date.now();', ['2: uses the clock']],
  afterSlashesInText: ["export const x = ['http://', Date.now()];", ['1: uses the clock']],
  afterStarInText: ["export const x = '/*';\nexport const y = Date.now();", ['2: uses the clock']],
  passedOn: ['export const x = [1].map(Date);', ['1: uses the clock']],
  timing: ['export const x = performance.now();', ['1: uses a clock']],
  zones: ['export const x = new Intl.DateTimeFormat();', ['1: uses Intl and the zone database']],
  locale: ["export const x = 'a'.localeCompare('b');", ['1: uses Intl and the zone database']],
  localeOfNumber: ['export const x = (1).toLocaleString();', ['1: uses Intl and the zone database']],
  temporal: ['export const x = Temporal.Now;', ['1: uses the zone database']],
  timer: ['export const x = () => setTimeout(() => {}, 1);', ['1: uses a raw timer (use sleep or condition)']],
  environment: ['export const x = process.env.HOME;', ['1: uses the process']],
  required: ["export const x = require('y');", [': imports y', '1: uses the process']],
  global: ["export const x = globalThis['Da' + 'te'];", ['1: uses the process']],
  random: ['export const x = Math.random();', ['1: uses randomness (use uuid4)']],
  randomByKey: ["export const x = Math['random']();", ['1: uses randomness (use uuid4)']],
  randomTakenOut: ['const { random } = Math;\nexport const x = random();', ['1: uses randomness (use uuid4)']],
  webCrypto: ['export const x = crypto.randomUUID();', ['1: uses randomness (use uuid4)']],
  builtIn: ["import { hostname } from 'node:os';\nexport const x = hostname();", [': imports node:os']],
  library: ["import { z } from 'zod';\nexport const x = z;", [': imports zod']],
};
const GOOD: Readonly<Record<string, string>> = {
  inComment:
    '// Date.now()\nexport const x = 1; // Math.random()\n/* Intl */ export const y = 2;\n/**\n * process.env\n */',
  inText: 'export const x = [\'Date\', "Math.random()", `process.env ${1} Intl`];',
  otherNames: 'export const updateDate = 1;\nexport const x = { random: 2 }.random + Math.max(1, 2) + updateDate;',
  inPattern: 'export const x = /Date|`/;',
  onlyType: "import type { Stats } from 'node:fs';\nexport const x = (s: Stats) => s.size;",
  ours: "import { sleep } from '@temporalio/workflow';\nexport const x = () => sleep(1);",
};

describe('on snippets', () => {
  const root = mkdtempSync(join(tmpdir(), 'ringmaster-determinism-'));
  let lines: string[] = [];
  beforeAll(() => {
    mkdirSync(join(root, 'workflows'));
    const files = { ...Object.fromEntries(Object.entries(BAD).map(([name, [code]]) => [name, code])), ...GOOD };
    for (const [name, code] of Object.entries(files)) writeFileSync(join(root, 'workflows', `${name}.ts`), code);
    writeFileSync(join(root, 'workflows/clock.ts'), 'export const x = Date.now();');
    const all = [...Object.keys(files), 'clock'];
    writeFileSync(
      join(root, 'workflows/index.ts'),
      all.map((name) => `export { x as ${name} } from './${name}.js';`).join('\n'),
    );
    // Not reachable: not looked at.
    writeFileSync(join(root, 'workflows/other.ts'), 'export const x = Date.now();');
    const { status, stderr } = lint(root);
    expect(status).toBe(1);
    lines = stderr.trim().split('\n');
  });
  afterAll(() => rmSync(root, { recursive: true, force: true }));

  const found = (name: string) =>
    lines
      .filter((line) => line.startsWith(`workflows/${name}.ts:`))
      .map((line) => line.slice(`workflows/${name}.ts:`.length).trim());

  it.each(Object.keys(BAD))('%s: is found', (name) => {
    expect(found(name)).toEqual(BAD[name]?.[1].map((fault) => fault.replace(/^: /, '')));
  });
  it.each(Object.keys(GOOD))('%s: is let be', (name) => {
    expect(found(name)).toEqual([]);
  });
  it('the one clock and what is not reachable: are let be', () => {
    expect([...found('clock'), ...found('other')]).toEqual([]);
  });
});

it('workflow code of ours is deterministic', () => {
  const { status, stdout, stderr } = lint();
  expect([status, stderr]).toEqual([0, '']);
  expect(Number(/: (\d+) files/.exec(stdout)?.[1])).toBeGreaterThan(15);
}, 30_000);
