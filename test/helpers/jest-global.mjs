// jest's globalSetup of the integration project: names this run, so that its test files (each in a context, often in a
// process, of its own) find one shared PostgreSQL. Nothing is started before a test asks for it.
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

// biome-ignore lint/style/noDefaultExport: jest looks for a default export
export default async function setup() {
  process.env.RINGMASTER_TEST_RUN = mkdtempSync(join(tmpdir(), 'ringmaster-test-run-'));
  process.env.RINGMASTER_TEST_RUN_PID = `${process.pid}`;
}
