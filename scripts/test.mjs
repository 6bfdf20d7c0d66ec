// `npm test`: builds, then runs jest (ESM) over unit and integration tests, and ends with the line CI reads.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

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
if (existsSync(report)) {
  const result = JSON.parse(readFileSync(report, 'utf8'));
  for (const suite of result.testResults)
    for (const test of suite.assertionResults) if (test.status === 'pending') console.log(`skipped: ${test.fullName}`);
  // A suite that cannot even load has no tests to count, yet must count as a failure.
  const failed = result.numFailedTests + result.numRuntimeErrorTestSuites;
  const skipped = result.numPendingTests > 0 ? `, ${result.numPendingTests} skipped` : '';
  console.log(`${result.numPassedTests} passed, ${failed} failed${skipped}`);
}
process.exit(status);
