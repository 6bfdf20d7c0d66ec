// Ends what tests of this run shared. Should the run be killed instead, every server's keeper notices by itself.
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

// biome-ignore lint/style/noDefaultExport: jest looks for a default export
export default async function teardown() {
  const run = process.env.RINGMASTER_TEST_RUN;
  if (!run) return;
  const keepers = join(run, 'keepers');
  const pids = existsSync(keepers) ? readdirSync(keepers).map(Number) : [];
  for (const pid of pids) signal(pid, 'SIGTERM');
  // They remove their folders when the server has ended; the run is not over before.
  const deadline = Date.now() + 8_000;
  while (pids.some((pid) => signal(pid, 0)) && Date.now() < deadline)
    await new Promise((resolve) => setTimeout(resolve, 50));
  rmSync(run, { recursive: true, force: true });
}

function signal(pid, name) {
  try {
    return process.kill(pid, name);
  } catch {
    return false;
  }
}
