/**
 * `npm test`: builds, then runs jest (ESM) over all tests, and ends with the line CI reads. A whole run is two processes of jest side by
 * side: tests on fleets of real hosts, which mostly wait, one file after another, and beside them the rest, two files at a time. Three
 * fleets at once are more than two cores carry; one core that waits for a host to boot is a waste.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { keepTry, linesOf } from './test-report.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const asked = process.argv.slice(2);
const runs =
  asked.length > 0
    ? [asked]
    : [
        ['--selectProjects', 'hosts', '--maxWorkers=1'],
        ['--selectProjects', 'unit', 'integration'],
      ];

const built = spawnSync(process.execPath, [join(root, 'scripts/build.mjs'), '--quiet'], {
  cwd: root,
  stdio: 'inherit',
});
if (built.status !== 0) process.exit(1);

/** @returns {Promise<{status: number, report: string}>} */
const jest = (args, nth) => {
  const report = join(root, `.cache/jest-report-${nth}.json`);
  mkdirSync(dirname(report), { recursive: true });
  rmSync(report, { force: true });
  const program = join(root, 'node_modules/jest/bin/jest.js');
  const NODE_OPTIONS = `${process.env.NODE_OPTIONS ?? ''} --no-warnings=ExperimentalWarning`.trim();
  const child = spawn(
    process.execPath,
    ['--experimental-vm-modules', program, '--json', `--outputFile=${report}`, ...args],
    { cwd: root, stdio: 'inherit', env: { ...process.env, NODE_OPTIONS } },
  );
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => resolve({ status: code ?? 1, report }));
  });
};

const ended = await Promise.all(runs.map(jest));
const again = asked.includes('--onlyFailures');
let summary;
// A process that failed without saying at what must not hide behind the other's failures: each is a try of its own.
for (const [nth, { status, report }] of ended.entries())
  summary = keepTry({ again: again || nth > 0, status, files: [report] });
console.log(linesOf(summary).join('\n'));
process.exit(summary.ok ? 0 : ended.find(({ status }) => status !== 0)?.status || 1);
