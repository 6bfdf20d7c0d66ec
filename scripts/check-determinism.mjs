// A workflow must replay the same on every worker: no clock, zone database, Intl, zod or Node built-in in anything its
// bundle holds of ours. Looks at what is really reachable from workflows/index.ts, not at folder names.
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as esbuild from 'esbuild';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const allowedPackages = /^@temporalio\/(workflow|common)$/;
const forbidden = [
  [/\bDate\b/, 'the clock'],
  [/\bperformance\b/, 'a clock'],
  [/\bIntl\b|toLocale\w*String|localeCompare/, 'Intl and the zone database'],
  [/\bTemporal\./, 'the zone database'],
  [/\b(setInterval|setImmediate|setTimeout)\b/, 'a raw timer (use sleep or condition)'],
  [/\bprocess\.|\brequire\(|\bglobalThis\b/, 'the process'],
  [/\bMath\.random\b|\bcrypto\b/, 'randomness (use uuid4)'],
];
/** The one place that may read the workflow's own, replayed time. */
const clockFile = 'workflows/clock.ts';

const result = await esbuild.build({
  entryPoints: [join(root, 'workflows/index.ts')],
  bundle: true,
  write: false,
  metafile: true,
  platform: 'neutral',
  packages: 'external',
  absWorkingDir: root,
  logLevel: 'error',
});

const faults = [];
for (const [file, { imports }] of Object.entries(result.metafile.inputs)) {
  for (const { path, external } of imports) {
    if (external && !allowedPackages.test(path)) faults.push(`${file}: imports ${path}`);
  }
  const lines = readFileSync(join(root, file), 'utf8').split('\n');
  let comment = false;
  lines.forEach((line, index) => {
    if (/^\s*\/\*/.test(line)) comment = true;
    const code =
      comment || /^\s*(\/\/|\*)/.test(line)
        ? ''
        : line.replace(/'[^']*'|`[^`]*`|"[^"]*"/g, "''").replace(/\/\/.*$/, '');
    if (/\*\//.test(line)) comment = false;
    for (const [pattern, what] of forbidden) {
      if (pattern.test(code) && file !== clockFile) faults.push(`${file}:${index + 1}: uses ${what}`);
    }
  });
}
if (faults.length > 0) {
  console.error(faults.join('\n'));
  process.exit(1);
}
console.log(`workflow code is deterministic: ${Object.keys(result.metafile.inputs).length} files`);
