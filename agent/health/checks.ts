/** Is this host well? Units, ports, HTTP and programs its owner installed (design §4). */
import { request as httpRequest } from 'node:http';
import { networkInterfaces } from 'node:os';
import type { HealthCheck } from '../../protocol/messages.js';
import { readListeners } from '../inventory/listeners.js';
import { findTrustedProgram } from '../system/files.js';
import { type Run, tail } from '../system/run.js';

export interface CheckResult {
  /** The check's name to people, e.g. `http http://127.0.0.1:8088/`. */
  readonly check: string;
  /** Empty when it passed. */
  readonly problem: string;
}

export type RunChecks = (checks: readonly HealthCheck[]) => Promise<readonly CheckResult[]>;

const CHECK_TIMEOUT_MS = 10_000;
const NAMED_TIMEOUT_MS = 60_000;

export function createRunChecks(deps: {
  readonly run: Run;
  readonly checksDir: string;
  readonly ownerUid: number;
}): RunChecks {
  const problemOf = async (check: HealthCheck): Promise<string> => {
    switch (check.type) {
      case 'unit':
        return unitProblem(deps.run, check.unit);
      case 'port':
        return readListeners().some((l) => l.protocol === 'tcp' && l.port === check.port)
          ? ''
          : 'nothing listens there';
      case 'http':
        return httpProblem(check.url, check.status);
      case 'named':
        return namedProblem(deps, check.name);
    }
  };
  return (checks) =>
    Promise.all(checks.map(async (check) => ({ check: nameOf(check), problem: await problemOf(check) })));
}

export function nameOf(check: HealthCheck): string {
  switch (check.type) {
    case 'unit':
      return `unit ${check.unit}`;
    case 'port':
      return `port ${check.port}`;
    case 'http':
      return `http ${check.url}`;
    case 'named':
      return `check ${check.name}`;
  }
}

/**
 * Why this check must not be run here; null when it may. An order could otherwise make a whole fleet call any address,
 * so HTTP checks go to this host itself, by loopback or one of its own addresses.
 */
export function checkObjection(check: HealthCheck, ownAddresses: readonly string[] = addressesHere()): string | null {
  if (check.type === 'unit') {
    return /^[A-Za-z0-9:_.@\\][A-Za-z0-9:_.@\\-]*$/.test(check.unit)
      ? null
      : `health check: ${check.unit} is no unit name`;
  }
  if (check.type !== 'http') return null;
  const url = new URL(check.url);
  if (!['http:', 'https:'].includes(url.protocol)) return `health check: ${url.protocol} is not spoken here`;
  if (url.username !== '' || url.password !== '') return 'health check: its address must not hold a password';
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const own =
    host === 'localhost' || /^127\.\d+\.\d+\.\d+$/.test(host) || host === '::1' || ownAddresses.includes(host);
  return own ? null : `health check: ${host} is not this endpoint`;
}

function addressesHere(): string[] {
  return Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map((entry) => entry.address));
}

async function unitProblem(run: Run, unit: string): Promise<string> {
  const result = await run(['systemctl', 'is-active', '--', unit], { timeoutMs: CHECK_TIMEOUT_MS });
  return result.code === 0 ? '' : `is ${result.stdout.trim() || tail(result.stderr, 200) || 'not active'}`;
}

/**
 * Reads the status line only; the body is thrown away, redirects are answers like any other. Whose certificate it is does
 * not matter here: the question is whether our own service answers, and it is asked over our own addresses.
 */
async function httpProblem(address: string, status: number): Promise<string> {
  const request = address.startsWith('https:') ? (await import('node:https')).request : httpRequest;
  return new Promise((resolve) => {
    const options = { timeout: CHECK_TIMEOUT_MS, agent: false as const, rejectUnauthorized: false };
    const call = request(address, options, (reply) => {
      reply.destroy();
      resolve(reply.statusCode === status ? '' : `answered ${reply.statusCode}, expected ${status}`);
    });
    call.once('timeout', () => call.destroy(new Error(`no answer within ${CHECK_TIMEOUT_MS / 1_000} s`)));
    call.once('error', (error: NodeJS.ErrnoException) => resolve(error.message || error.code || 'no connection'));
    call.end();
  });
}

async function namedProblem(deps: Parameters<typeof createRunChecks>[0], name: string): Promise<string> {
  const found = findTrustedProgram({ dir: deps.checksDir, name, ownerUid: deps.ownerUid });
  if (!found.ok) return found.reason;
  const result = await deps.run([found.path], { timeoutMs: NAMED_TIMEOUT_MS, maxOutput: 64 * 1024 });
  if (result.timedOut) return `did not end within ${NAMED_TIMEOUT_MS / 1_000} s`;
  return result.code === 0 ? '' : `failed (${result.code}): ${tail(result.stderr || result.stdout, 400)}`;
}
