// Builds dist/: every program's TypeScript file by file (esbuild, no type check), SQL and templates beside it, the
// workflow bundle, and the agent as one self-contained file. Skips what is newer than its sources.
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as esbuild from 'esbuild';
import { buildAgentBundle } from './agent-bundle.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const out = join(root, 'dist');
const folders = [
  'domain',
  'workflows',
  'activities',
  'adapters',
  'db',
  'api',
  'worker',
  'agent',
  'protocol',
  'web',
  'cli',
  'lab',
  'sim',
  'bench',
  'demo',
];
const quiet = process.argv.includes('--quiet');
const stamp = join(out, '.built');

/** Every file below a folder, newest modification first considered by the caller. */
function* walk(dir) {
  for (const entry of readdirSync(dir, { withFileTypes: true })) {
    const path = join(dir, entry.name);
    if (entry.isDirectory()) yield* walk(path);
    else yield path;
  }
}

const sources = folders.filter((f) => existsSync(join(root, f))).flatMap((f) => [...walk(join(root, f))]);
const newest = Math.max(
  ...[
    ...sources,
    join(root, 'package-lock.json'),
    join(root, 'scripts/agent-bundle.mjs'),
    fileURLToPath(import.meta.url),
  ].map((f) => statSync(f).mtimeMs),
);
const fresh = existsSync(stamp) && statSync(stamp).mtimeMs >= newest && !process.argv.includes('--force');
if (fresh) process.exit(0);

const started = Date.now();
rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
const isCode = (f) => f.endsWith('.ts') && !f.endsWith('.test.ts') && !f.endsWith('.d.ts');
await esbuild.build({
  entryPoints: sources.filter(isCode),
  outdir: out,
  outbase: root,
  bundle: false,
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  sourcemap: 'linked',
  logLevel: 'warning',
});
for (const file of sources.filter((f) => !f.endsWith('.ts'))) {
  const to = join(out, relative(root, file));
  mkdirSync(dirname(to), { recursive: true });
  cpSync(file, to);
}

const agentMain = join(root, 'agent/main.ts');
if (existsSync(agentMain)) {
  await buildAgentBundle({ outfile: join(out, 'agent-bundle/ringmaster-agent.mjs') });
}

if (existsSync(join(root, 'workflows/index.ts'))) {
  const { bundleWorkflowCode } = await import('@temporalio/worker');
  const silent = { log() {}, trace() {}, debug() {}, info() {}, warn: console.warn, error: console.error };
  const { code } = await bundleWorkflowCode({ workflowsPath: join(out, 'workflows/index.js'), logger: silent });
  writeFileSync(join(out, 'workflow-bundle.js'), code);
}
writeFileSync(stamp, new Date().toISOString());
if (!quiet) console.log(`built dist/ in ${((Date.now() - started) / 1000).toFixed(1)} s`);
