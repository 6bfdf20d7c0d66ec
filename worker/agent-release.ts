/** The agent this release ships with, published so that endpoints can be updated to it (change kind `agentUpdate`). */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import type { Pool } from 'pg';
import type { ContentStore } from '../adapters/content/store.js';
import { publishAgentRelease } from '../db/agents/releases.js';
import { type EpochMs, MINUTE } from '../domain/time.js';
import type { Duty } from './loops.js';

interface OwnAgent {
  readonly pool: Pool;
  readonly store: Pick<ContentStore, 'put'>;
  readonly file: string;
  readonly clock: () => EpochMs;
  readonly log: { warn(fields: object, message: string): void; info(fields: object, message: string): void };
}

/** Publishes it before the worker begins, or, where something is in the way (the disk is full), once that is gone. */
export async function ownAgentDuty(deps: OwnAgent): Promise<Duty> {
  let published = false;
  const publish = async () => {
    if (!published) await publishOwnAgent(deps);
    published = true;
    return false;
  };
  await publish().catch((err: unknown) => deps.log.warn({ err }, 'the agent of this release is not published yet'));
  return { name: 'own-agent', everyMs: MINUTE, run: publish };
}

/** Does nothing where the file is not there (a build without agents). A second file under a known version is refused, and said. */
async function publishOwnAgent(deps: OwnAgent): Promise<void> {
  const { file, log } = deps;
  if (!existsSync(file)) return;
  // The file itself knows best what it is; asked once per start, by the runtime we run on.
  const said = spawnSync(process.execPath, [file, 'version'], { encoding: 'utf8', timeout: 30_000 });
  const version = said.stdout?.trim() ?? '';
  if (!/^\d+\.\d+\.\d+([~+.][A-Za-z0-9.]+)?$/.test(version)) {
    log.warn({ file, status: said.status }, 'the agent that ships with this release does not say its version');
    return;
  }
  const bytes = readFileSync(file);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  await deps.store.put({ sha256, size: bytes.length, what: `agent ${version}`, stream: Readable.from([bytes]) });
  const ours = await publishAgentRelease(deps.pool, { version, sha256, size: bytes.length, now: deps.clock() });
  if (!ours) log.warn({ version, sha256 }, 'another file was published as this version of the agent; it stays');
}
