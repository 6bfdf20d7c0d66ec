/** The agent's configuration: one JSON file, written by `install` or by hand. */
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';

export interface AgentConfig {
  /** Base URL of the server, `https://ringmaster.example`. */
  readonly server: string;
  readonly name: string;
  /** Journal, identity, packages; for root alone. */
  readonly stateDir: string;
  readonly limitsFile: string;
  readonly hooksDir: string;
  readonly checksDir: string;
  /** Reports what is installed and pending; changes nothing, whatever it is asked. */
  readonly scanOnly: boolean;
  /** Used until the endpoint is enrolled, then not any more. */
  readonly joinToken: string | null;
  /** PEM file of the authority to trust instead of the system's. */
  readonly caFile: string | null;
  /** IANA zone; the host's own when not given. */
  readonly zone: string | null;
  /** The server's wish for the next poll is never followed below this, seconds. */
  readonly minPollSeconds: number;
  /** Time between inventories nobody asked for, hours. */
  readonly scanHours: number;
  /** How long services get to come up before a failing check counts, seconds. */
  readonly healthGraceSeconds: number;
  /** Reports of work under way are gathered for this long, seconds. */
  readonly reportBatchSeconds: number;
  /** `simulated`: a machine made up in `stateDir`, for tests and demonstrations; else this machine's own package manager. */
  readonly provider: 'own' | 'simulated';
}

export const DEFAULT_CONFIG_FILE = '/etc/ringmaster-agent/config.json';

const texts = [
  'server',
  'name',
  'stateDir',
  'limitsFile',
  'hooksDir',
  'checksDir',
  'joinToken',
  'caFile',
  'zone',
  'provider',
] as const;
const numbers = ['minPollSeconds', 'scanHours', 'healthGraceSeconds', 'reportBatchSeconds'] as const;

/** @throws Error that names the file and the field. */
export function loadConfig(file: string): AgentConfig {
  let raw: unknown;
  try {
    raw = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new Error(`${file}: ${(error as Error).message}`);
  }
  return parseConfig(raw, file);
}

/** @throws Error that names the field. */
export function parseConfig(raw: unknown, file: string): AgentConfig {
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) throw new Error(`${file}: not an object`);
  const given = raw as Record<string, unknown>;
  const known: readonly string[] = [...texts, ...numbers, 'scanOnly'];
  const unknown = Object.keys(given).find((key) => !known.includes(key));
  if (unknown !== undefined) throw new Error(`${file}: "${unknown}" means nothing here`);
  for (const key of texts) {
    if (given[key] !== undefined && typeof given[key] !== 'string') throw new Error(`${file}: "${key}" is not a text`);
  }
  for (const key of numbers) {
    const value = given[key];
    if (value !== undefined && !(typeof value === 'number' && value >= 0))
      throw new Error(`${file}: "${key}" is not a number from 0`);
  }
  if (given.scanOnly !== undefined && typeof given.scanOnly !== 'boolean')
    throw new Error(`${file}: "scanOnly" is not true or false`);
  if (!['own', 'simulated'].includes((given.provider as string | undefined) ?? 'own'))
    throw new Error(`${file}: "provider" is neither own nor simulated`);
  const { server } = given;
  if (typeof server !== 'string' || !/^https?:$/.test(protocolOf(server)))
    throw new Error(`${file}: "server" is not an http(s) address`);
  const text = (key: (typeof texts)[number], fallback: string) => (given[key] as string | undefined) ?? fallback;
  const number = (key: (typeof numbers)[number], fallback: number) => (given[key] as number | undefined) ?? fallback;
  return {
    server,
    name: text('name', hostname()),
    stateDir: text('stateDir', '/var/lib/ringmaster-agent'),
    limitsFile: text('limitsFile', '/etc/ringmaster-agent/limits.json'),
    hooksDir: text('hooksDir', '/etc/ringmaster-agent/hooks.d'),
    checksDir: text('checksDir', '/etc/ringmaster-agent/checks.d'),
    scanOnly: given.scanOnly === true,
    joinToken: (given.joinToken as string | undefined) ?? null,
    caFile: (given.caFile as string | undefined) ?? null,
    zone: (given.zone as string | undefined) ?? null,
    minPollSeconds: number('minPollSeconds', 0.5),
    scanHours: number('scanHours', 24),
    healthGraceSeconds: number('healthGraceSeconds', 30),
    reportBatchSeconds: number('reportBatchSeconds', 10),
    provider: given.provider === 'simulated' ? 'simulated' : 'own',
  };
}

function protocolOf(address: string): string {
  try {
    return new URL(address).protocol;
  } catch {
    return '';
  }
}
