// `npm test`: builds, then runs jest (ESM) over unit and integration tests, and ends with the line CI reads.
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { keepTry, linesOf } from './test-report.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const run = (command, args, env = {}) =>
  spawnSync(command, args, { cwd: root, stdio: 'inherit', env: { ...process.env, ...env } }).status ?? 1;

if (run(process.execPath, [join(root, 'scripts/build.mjs'), '--quiet']) !== 0) process.exit(1);
const report = join(root, '.cache/jest-report.json');
mkdirSync(dirname(report), { recursive: true });
rmSync(report, { force: true });
const status = run(
  process.execPath,
  [
    '--experimental-vm-modules',
    join(root, 'node_modules/jest/bin/jest.js'),
    '--json',
    `--outputFile=${report}`,
    ...process.argv.slice(2),
  ],
  { NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ''} --no-warnings=ExperimentalWarning`.trim() },
);
const summary = keepTry({ again: process.argv.includes('--onlyFailures'), status, files: [report] });
console.log(linesOf(summary).join('\n'));
process.exit(summary.ok ? 0 : status || 1);
