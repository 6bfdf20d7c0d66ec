/** What `ringmaster-agent status` shows: a file the running agent keeps, so that looking disturbs nothing. */
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { AgentConfig } from './config.js';
import { readTextIfThere } from './system/files.js';

export interface Status {
  readonly state: string;
  readonly reason?: string | null;
  readonly [field: string]: unknown;
}

const REFRESH_MS = 60_000;
let written = { text: '', at: 0 };

/** Written when something changed, and once a minute. Losing it costs nothing, so it is not synced. */
export function writeStatus(config: Pick<AgentConfig, 'stateDir'>, status: Status): void {
  const { lastContactAt: _, clockSkewMs: __, ...telling } = status;
  const text = JSON.stringify(telling);
  const now = Date.now();
  if (text === written.text && now - written.at < REFRESH_MS) return;
  written = { text, at: now };
  mkdirSync(config.stateDir, { recursive: true, mode: 0o711 });
  const path = statusPath(config);
  writeFileSync(`${path}.new`, JSON.stringify({ ...status, pid: process.pid, writtenAt: now }), { mode: 0o644 });
  renameSync(`${path}.new`, path);
}

export function readStatus(config: Pick<AgentConfig, 'stateDir'>): Status | null {
  const text = readTextIfThere(statusPath(config));
  return text === null ? null : (JSON.parse(text) as Status);
}

const statusPath = (config: Pick<AgentConfig, 'stateDir'>) => join(config.stateDir, 'status.json');
