/**
 * An independent fuzzer (schemathesis) over the real API process and PostgreSQL, driven by nothing but /v1/openapi.json.
 * `test/api/fuzz/install` puts it where this looks for it.
 */
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { hashToken } from '../../db/identity/people.js';
import { generateSigningKeyPem, signingKeyFromPem } from '../../protocol/envelope.js';
import { simulatedAgent } from '../helpers/agent-client.js';
import { buildApi, eventually, startApiProcess } from '../helpers/api-process.js';
import { publishRoot } from '../helpers/api-server.js';
import { createDatabase } from '../helpers/postgres.js';
import { repositoryRoot } from '../helpers/repository.js';

const fuzzer = process.env.RINGMASTER_FUZZER ?? join(repositoryRoot, '.cache/schemathesis/bin/schemathesis');
/** Until it is thought to hang: it takes two minutes on two idle cores, and longer beside other tests. */
const SECONDS = 900;
const CHECKS = [
  'not_a_server_error',
  'status_code_conformance',
  'content_type_conformance',
  'response_headers_conformance',
  'response_schema_conformance',
  'negative_data_rejection',
  'unsupported_method',
  'allow_header_conformance',
  'ignored_auth',
  'use_after_free',
  'missing_required_header',
  'ensure_resource_availability',
];

const suite = existsSync(fuzzer) ? describe : describe.skip;

suite('the API under a fuzzer (test/api/fuzz/install installs it)', () => {
  test(
    'keeps to its document, whatever is sent',
    async () => {
      const database = await createDatabase();
      await publishRoot(database.pool, signingKeyFromPem(generateSigningKeyPem()));
      const built = await buildApi();
      const work = mkdtempSync(join(tmpdir(), 'ringmaster-fuzz-'));
      const api = await startApiProcess(built.main, {
        DATABASE_URL: database.apiUrl,
        RINGMASTER_DATA: work,
        RINGMASTER_LOG_LEVEL: 'error',
        RINGMASTER_RATE_PER_PERSON: '0',
        RINGMASTER_RATE_PER_ADDRESS: '0',
      });
      try {
        await eventually(
          () => fetch(`${api.url}/readyz`),
          ({ ok }) => ok,
        );
        // Of no account: whatever the fuzzer does to accounts and their tokens, it stays who it is.
        const token = `rmt_${randomUUID()}`;
        await database.pool.query(
          `INSERT INTO api_token (id, token_hash, name, role) VALUES ($1, $2, 'fuzzer', 'Administrator')`,
          [randomUUID(), hashToken(token)],
        );
        await enrolOne(api.url, token);
        const { status, output } = await runFuzzer(api.url, token, work);
        expect([api.output(), status === 0 ? '' : output]).toEqual(['', '']);
      } finally {
        await api.stop();
        built.remove();
        rmSync(work, { recursive: true, force: true });
        await database.drop();
      }
    },
    SECONDS * 1_000,
  );
});

/** So that lists have something in them and links lead somewhere. */
async function enrolOne(url: string, token: string): Promise<void> {
  const made = await fetch(`${url}/v1/join-tokens`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: '{}',
  });
  const { token: join } = (await made.json()) as { token: string };
  await simulatedAgent({ url }).enrol(join, { name: 'fuzzed' });
}

function runFuzzer(url: string, token: string, cwd: string): Promise<{ status: number | null; output: string }> {
  const args = [
    'run',
    `${url}/v1/openapi.json`,
    ...['--header', `Authorization: Bearer ${token}`],
    ...['--checks', CHECKS.join(',')],
    // Streams of events never end.
    ...['--exclude-path-regex', '/events$'],
    ...['--phases', process.env.RINGMASTER_FUZZ_PHASES ?? 'examples,coverage,fuzzing,stateful'],
    ...['--max-examples', process.env.RINGMASTER_FUZZ_EXAMPLES ?? '3'],
    ...['--seed', process.env.RINGMASTER_FUZZ_SEED ?? '20261130'],
    ...['--request-timeout', '30'],
    ...['--suppress-health-check', 'all'],
    ...['--warnings', 'off'],
    '--no-color',
    '--no-shrink',
  ];
  const child = spawn(fuzzer, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (data) => {
      output += data;
    });
  }
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status) => resolve({ status, output }));
  });
}
