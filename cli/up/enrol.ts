import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';

export type EnrolContext = Readonly<{
  /** http://127.0.0.1:8420 */
  apiUrl: string;
  /** Undefined at a later start to which nobody gave a token. */
  adminToken: string | undefined;
  agentDir: string;
}>;

const joinTokenReply = z.object({ token: z.string().min(1) });

/**
 * Asks the API for a join token that enrols one machine, scan-only, within a day.
 * @throws Error with the API's answer when it gives none.
 */
export async function obtainJoinToken(context: Readonly<{ apiUrl: string; adminToken: string }>): Promise<string> {
  const response = await fetch(`${context.apiUrl}/v1/join-tokens`, {
    method: 'POST',
    headers: { authorization: `Bearer ${context.adminToken}`, 'content-type': 'application/json' },
    // A day, not minutes: the agent may have to wait for a gateway that is restarting, and there is one use only.
    body: JSON.stringify({ scanOnly: true, uses: 1, expiresInSeconds: 86_400, labels: {} }),
    signal: AbortSignal.timeout(5_000),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`the API gives no join token (${response.status}): ${text.slice(0, 200)}`);
  return joinTokenReply.parse(JSON.parse(text)).token;
}

/**
 * Writes this machine's agent configuration. Once it has a join token it is only kept up to date: an enrolled agent
 * does not use the token again, and one that was killed while enrolling tries again with it.
 * @returns the file; undefined when there is no way to a join token at this start.
 * @throws Error when the API refuses one.
 */
export async function prepareAgent(context: EnrolContext): Promise<string | undefined> {
  const file = join(context.agentDir, 'config.json');
  const before: { server?: string; joinToken?: string } = existsSync(file)
    ? JSON.parse(readFileSync(file, 'utf8'))
    : {};
  if (before.joinToken === undefined && context.adminToken === undefined) return undefined;
  const joinToken =
    before.joinToken ?? (await obtainJoinToken({ apiUrl: context.apiUrl, adminToken: context.adminToken as string }));
  const config = {
    server: context.apiUrl,
    name: hostname(),
    stateDir: join(context.agentDir, 'state'),
    scanOnly: true,
    joinToken,
  };
  writeFileSync(`${file}.new`, `${JSON.stringify(config, undefined, 2)}\n`, { mode: 0o600 });
  renameSync(`${file}.new`, file);
  return file;
}
