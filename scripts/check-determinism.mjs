// A workflow must replay the same on every worker: no clock, zone database, Intl, zod or Node built-in in anything its
// bundle holds of ours. Looks at what is really reachable from workflows/index.ts, not at folder names, and at names in
// code, not at text: what comments and strings say does not matter, what is between `${` and `}` does.
// Usage: check-determinism.mjs [folder that has workflows/index.ts]; exit code 1 with one fault per line.
import { readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as esbuild from 'esbuild';
import ts from 'typescript';

const root = resolve(process.argv[2] ?? dirname(dirname(fileURLToPath(import.meta.url))));
const allowedPackages = /^@temporalio\/(workflow|common)$/;
/** Matched against a name and, where it is taken from something named, against both: `Math.random`. */
const forbidden = [
  [/^Date$/, 'the clock'],
  [/^performance$/, 'a clock'],
  [/^Intl$|^toLocale\w*String$|^localeCompare$/, 'Intl and the zone database'],
  [/^Temporal\./, 'the zone database'],
  [/^(setInterval|setImmediate|setTimeout)$/, 'a raw timer (use sleep or condition)'],
  [/^process\.|^process$|^require$|^globalThis$/, 'the process'],
  [/^Math\.random$|^crypto$/, 'randomness (use uuid4)'],
];
/** The one place that may read the workflow's own, replayed time. */
const clockFile = 'workflows/clock.ts';

/** Each forbidden name in the code, with its line; one per line and rule. */
function faultsIn(file, text) {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
  const found = new Set();
  const note = (node, name) => {
    const line = source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1;
    for (const [pattern, what] of forbidden) if (pattern.test(name)) found.add(`${file}:${line}: uses ${what}`);
  };
  const visit = (node) => {
    if (ts.isIdentifier(node)) note(node, node.text);
    // `Math.random` and `Math['random']`; a name alone says nothing of `Math`.
    const key = ts.isPropertyAccessExpression(node)
      ? node.name.text
      : ts.isElementAccessExpression(node) && ts.isStringLiteralLike(node.argumentExpression)
        ? node.argumentExpression.text
        : null;
    if (key !== null) {
      note(node, key);
      if (ts.isIdentifier(node.expression)) note(node, `${node.expression.text}.${key}`);
    }
    // `const { random } = Math`.
    if (ts.isVariableDeclaration(node) && ts.isObjectBindingPattern(node.name) && node.initializer !== undefined)
      for (const { name, propertyName } of node.name.elements)
        note(node, `${node.initializer.getText(source)}.${(propertyName ?? name).getText(source)}`);
    ts.forEachChild(node, visit);
  };
  visit(source);
  return [...found];
}

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
  if (file !== clockFile) faults.push(...faultsIn(file, readFileSync(join(root, file), 'utf8')));
}
if (faults.length > 0) {
  console.error(faults.join('\n'));
  process.exit(1);
}
console.log(`workflow code is deterministic: ${Object.keys(result.metafile.inputs).length} files`);
