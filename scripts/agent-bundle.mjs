// The agent as one self-contained file, told its version at build time.
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as esbuild from 'esbuild';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** zod's messages in all other languages are a third of the agent's memory. */
const englishOnly = {
  name: 'english-only',
  setup(build) {
    build.onResolve({ filter: /\/locales\/index\.js$/ }, (args) =>
      args.importer.includes('/zod/')
        ? { path: join(dirname(args.importer), '../locales/en.js'), namespace: 'english-only' }
        : undefined,
    );
    build.onLoad({ filter: /.*/, namespace: 'english-only' }, (args) => ({
      contents: `export { default as en } from ${JSON.stringify(args.path)};`,
      resolveDir: dirname(args.path),
    }));
  },
};

/** @param {{ outfile: string, version?: string }} options `version`: in place of the one in the sources */
export async function buildAgentBundle({ outfile, version }) {
  await esbuild.build({
    entryPoints: [join(root, 'agent/main.ts')],
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20.19',
    // An idle agent must stay small: no error messages in 50 languages, no long names.
    minify: true,
    plugins: [englishOnly],
    define: version === undefined ? {} : { RINGMASTER_AGENT_VERSION: JSON.stringify(version) },
    banner: { js: "import { createRequire as __cr } from 'node:module'; const require = __cr(import.meta.url);" },
    logLevel: 'warning',
  });
}
