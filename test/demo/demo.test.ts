/** The demonstration as its user starts it, with the approver played by itself. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { eventually } from '../helpers/api-process.js';

let folder: string;
let demo: ChildProcess;
let output = '';
const ended = { code: undefined as number | null | undefined };
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'rm-demo-test-'));
  demo = spawn(process.execPath, ['dist/demo/main.js', '--endpoints', '20', '--approve', '--exit'], {
    env: { ...process.env, TMPDIR: folder },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  for (const stream of [demo.stdout, demo.stderr])
    stream?.on('data', (chunk: Buffer) => {
      output += chunk.toString('utf8');
    });
  demo.once('exit', (code) => {
    ended.code = code;
  });
});
afterAll(async () => {
  if (ended.code === undefined) {
    demo.kill('SIGTERM');
    await eventually(
      async () => ended.code,
      (code) => code !== undefined,
    );
  }
  rmSync(folder, { recursive: true, force: true });
});

test('one whole cycle with an approval, its mail in the inbox, and nothing left behind', async () => {
  const inbox = await eventually(
    async () => /^Inbox +(http\S+)$/m.exec(output)?.[1],
    (url) => url !== undefined || ended.code !== undefined,
    120,
  );
  const page = await eventually(
    async () => (await fetch(String(inbox))).text().catch(() => ''),
    (html) => /<a href="http[^"]*\/approvals\/[0-9a-f]{32}"/.test(html) || ended.code !== undefined,
    120,
  );
  expect([page.includes('/approvals/'), output]).toEqual([true, expect.any(String)]);
  await eventually(
    async () => ended.code,
    (code) => code !== undefined,
    120,
  );
  expect([ended.code, output]).toEqual([
    0,
    expect.stringMatching(/Enrolling 20 simulated endpoints[\s\S]*Ended: completed/),
  ]);
  expect(readdirSync(folder).filter((name) => name.startsWith('ringmaster-demo-'))).toEqual([]);
  expect(existsSync(folder)).toBe(true);
}, 300_000);

test('a wrong option is refused with the ways to use it', async () => {
  const refused = spawn(process.execPath, ['dist/demo/main.js', '--endpoints', 'many'], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  refused.stderr.on('data', (chunk: Buffer) => {
    said += chunk.toString('utf8');
  });
  const code = await new Promise((resolve) => refused.once('exit', resolve));
  expect([code, said]).toEqual([
    2,
    expect.stringMatching(/--endpoints must be a whole number from 20[\s\S]*Usage: npm run demo/),
  ]);
});
