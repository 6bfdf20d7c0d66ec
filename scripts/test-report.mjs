/**
 * What a test run comes down to. What failed may be tried once more (`--onlyFailures`), and each try may be several processes of jest
 * with a result file each; the last line counts every test once, as it ended, and before it stands what needed more than one try.
 *
 * A program, too: prints the lines of the tries in a file, which `test.mjs` keeps.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const TRIES = join(root, '.cache/test-tries.json');

/**
 * @param {readonly {status: number, reports: readonly object[]}[]} tries the first run and what was tried again after it; `reports` as
 *   `jest --json` writes them, each file in one of them
 * @returns {{passed: number, failed: number, skipped: string[], mended: string[], ok: boolean}} `ok`: nothing is left failing, and
 *   no try failed without saying at what (jest died, a tear-down threw): that can't be tried again
 */
export function sumUp(tries) {
  const tests = new Map();
  let explained = tries.length > 0;
  for (const { status, reports } of tries) {
    const failedHere = reports.flatMap((report) => report.testResults.flatMap((file) => take(tests, file)));
    if (status !== 0 && failedHere.length === 0) explained = false;
  }
  const all = [...tests.values()];
  const failed = all.filter((test) => test.now === 'failed').length;
  return {
    passed: all.filter((test) => test.now === 'passed').length,
    failed,
    skipped: all.filter((test) => test.now === 'pending').map((test) => test.name),
    mended: all.filter((test) => test.now !== 'failed' && test.hasFailed).map((test) => test.name),
    ok: explained && failed === 0,
  };
}

/** Takes one file's results in, in place of those of an earlier try. @returns names of what failed */
function take(tests, file) {
  const path = relative(root, file.name);
  const before = new Map([...tests].filter(([key]) => key.startsWith(`${path}\n`)));
  for (const key of before.keys()) tests.delete(key);
  const names = new Map();
  const results = file.assertionResults.map(({ fullName, status }) => {
    // A table may name two rows alike.
    const nth = (names.get(fullName) ?? 0) + 1;
    names.set(fullName, nth);
    return { key: `${path}\n${fullName}\n${nth}`, name: `${path}: ${fullName}`, status };
  });
  // A file that can't even be loaded has no tests to count, yet counts as a failure.
  const asWhole = file.status === 'failed' && !results.some(({ status }) => status === 'failed');
  const hadFailed = [...before.values()].some((test) => test.whole && test.hasFailed);
  if (asWhole || hadFailed)
    results.push({ key: `${path}\n`, name: `${path}, as a whole`, status: asWhole ? 'failed' : 'mended', whole: true });
  for (const { key, name, status, whole = false } of results) {
    const now = status === 'todo' ? 'pending' : status;
    tests.set(key, { name, now, whole, hasFailed: now === 'failed' || before.get(key)?.hasFailed === true });
  }
  return results.filter(({ status }) => status === 'failed');
}

/** For people and for CI; the last line is always the count. */
export function linesOf({ passed, failed, skipped, mended }) {
  const also = skipped.length > 0 ? `, ${skipped.length} skipped` : '';
  return [
    ...skipped.map((name) => `skipped: ${name}`),
    ...mended.map((name) => `passed only when tried again: ${name}`),
    `${passed} passed, ${failed} failed${also}`,
  ];
}

/**
 * Keeps a try and sums up what there is.
 * @param {{again: boolean, status: number, files: readonly string[]}} tried `again`: of what failed in the tries kept before
 */
export function keepTry({ again, status, files }) {
  const reports = files.filter((file) => existsSync(file)).map((file) => JSON.parse(readFileSync(file, 'utf8')));
  const tries = [...(again ? readTries(TRIES) : []), { status, reports: reports.map(slim) }];
  mkdirSync(dirname(TRIES), { recursive: true });
  writeFileSync(TRIES, JSON.stringify(tries));
  return sumUp(tries);
}

const readTries = (file) => (existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : []);

const slim = ({ testResults }) => ({
  testResults: testResults.map(({ name, status, assertionResults }) => ({
    name,
    status,
    assertionResults: assertionResults.map(({ fullName, status: how }) => ({ fullName, status: how })),
  })),
});

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const summary = sumUp(readTries(process.argv[2] ?? TRIES));
  console.log(linesOf(summary).join('\n'));
  process.exit(summary.ok ? 0 : 1);
}
