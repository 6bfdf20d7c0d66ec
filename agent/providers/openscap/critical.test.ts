// Which rules are watched between scans, by which checklist, and when they are tested; only the scanner and its content are ours.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { BaselineScope } from '../../../protocol/messages.js';
import type { Run } from '../../system/run.js';
import { createCriticalRules, keepCritical, rememberCritical } from './critical.js';
import type { RuleResults } from './oscap.js';

const [A, B] = [`xccdf_org.example_rule_a`, `xccdf_org.example_rule_b`];
const [OLD, NEW] = ['0'.repeat(64), '1'.repeat(64)];
let dir: string;
let asked: string[];
let missing: string[];
/** By data stream. */
let says: Record<string, RuleResults>;
let look: () => Promise<RuleResults | null>;

let touched = 0;
let chmods = 0;
const touch = () => {
  touched += 1;
};
const scanned = (checklist: string, results: RuleResults, critical: readonly string[] = Object.keys(results)) =>
  rememberCritical(
    dir,
    {
      checklist,
      dataStream: { sha256: checklist, size: 1 },
      tailoring: null,
      profile: 'p',
      critical,
    } as never as BaselineScope,
    results,
  );

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'ringmaster-critical-'));
  [asked, missing, says] = [[], [], {}];
  const run: Run = async (argv) => {
    const stream = argv.at(-1) as string;
    const rules = [A, B].filter((rule) => argv.includes(rule));
    asked.push(`${stream.slice(0, 1)} ${rules.map((rule) => rule.slice(-1)).join('')}`);
    const stdout = rules.map((rule) => `${rule}:${says[stream]?.[rule] ?? 'pass'}\n`).join('');
    return { code: 2, stdout, stderr: '', timedOut: false };
  };
  look = createCriticalRules({
    run,
    content: {
      ensure: async ({ sha256 }) => {
        if (missing.includes(sha256)) throw new Error('not to be had');
        return sha256;
      },
    },
    dir,
    stamp: () => String(touched),
    modesStamp: async (rules) => (rules.includes(B) ? String(chmods) : ''),
    busy: () => false,
  });
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

test('they are tested at first and when something has changed on the host, by every checklist', async () => {
  expect(await look()).toBeNull();
  scanned(OLD, { [A]: 'pass' });
  scanned(NEW, { [B]: 'pass' });
  says = { [NEW]: { [B]: 'fail' } };
  expect(await look()).toEqual({ [A]: 'pass', [B]: 'fail' });
  expect(await look()).toBeNull();
  touch();
  await look();
  expect(asked).toEqual(['0 a', '1 b', '0 a', '1 b']);
});

test('a mode that differs has those checklists tested whose rules look there', async () => {
  scanned(OLD, { [A]: 'pass' });
  scanned(NEW, { [B]: 'pass' });
  await look();
  chmods += 1;
  says = { [NEW]: { [B]: 'fail' } };
  expect(await look()).toEqual({ [A]: 'pass', [B]: 'fail' });
  expect(asked).toEqual(['0 a', '1 b', '1 b']);
});

test.each([
  ['the first', { [OLD]: { [A]: 'fail' } }],
  ['the second', { [NEW]: { [A]: 'fail' } }],
] as const)('a rule of two checklists that fails by %s fails', async (_, found) => {
  scanned(OLD, { [A]: 'pass' });
  scanned(NEW, { [A]: 'pass' });
  says = found;
  expect(await look()).toEqual({ [A]: 'fail' });
});

test('what holds here no more is watched no more', async () => {
  scanned(OLD, { [A]: 'fail', [B]: 'pass' });
  scanned(NEW, { [A]: 'pass', [B]: 'fail' });
  keepCritical(dir, { [NEW]: [A] });
  expect(await look()).toEqual({ [A]: 'pass' });
  expect(asked).toEqual(['1 a']);
  keepCritical(dir, {});
  touch();
  expect(await look()).toBeNull();
});

test('a checklist whose content is not to be had keeps no other from being tested, and is tried again', async () => {
  scanned(OLD, { [A]: 'pass' });
  scanned(NEW, { [B]: 'pass' });
  missing = [OLD];
  says = { [OLD]: { [A]: 'fail' }, [NEW]: { [B]: 'fail' } };
  expect(await look()).toEqual({ [A]: 'pass', [B]: 'fail' });
  await expect(look()).rejects.toThrow('not to be had');
  missing = [];
  expect(await look()).toEqual({ [A]: 'fail', [B]: 'fail' });
});
