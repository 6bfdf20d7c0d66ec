/** What the web tier is told from outside, checked. */
import { resolve } from 'node:path';

export interface ApiSettings {
  readonly host: string;
  readonly port: number;
  readonly databaseUrl: string;
  readonly dataDirectory: string;
  readonly bootstrapToken: string | null;
  readonly webSecret: string | undefined;
  readonly idlePollSeconds: number;
  readonly trustProxy: boolean | number | string;
  readonly logLevel: string;
  readonly poolSize: number;
  /** Requests below /v1 per minute; 0 for no limit. */
  readonly rateLimits: { readonly perPerson: number; readonly perAddress: number };
  /** Where people look at workflows. */
  readonly temporalUi: { readonly url: string; readonly namespace: string } | null;
}

/** @throws Error naming the variable that can't be understood */
export function readSettings(env: NodeJS.ProcessEnv): ApiSettings {
  const text = (name: string): string | undefined =>
    env[name] === undefined || env[name] === '' ? undefined : env[name];
  const whole = (name: string, fallback: number, from: number, to: number): number => {
    const given = text(name) ?? String(fallback);
    const value = Number(given);
    if (!/^\d+$/.test(given) || value < from || value > to)
      throw new Error(`${name} must be a whole number from ${from} to ${to}, not "${given}"`);
    return value;
  };
  const databaseUrl = text('DATABASE_URL');
  if (databaseUrl === undefined) throw new Error('DATABASE_URL is not set');
  if (!URL.canParse(databaseUrl) || !/^postgres(ql)?:$/.test(new URL(databaseUrl).protocol)) {
    throw new Error('DATABASE_URL must look like postgresql://role:password@host:5432/database');
  }
  const bootstrapToken = text('RINGMASTER_BOOTSTRAP_TOKEN') ?? null;
  if (bootstrapToken !== null && !/^[\x21-\x7e]{8,512}$/.test(bootstrapToken)) {
    throw new Error('RINGMASTER_BOOTSTRAP_TOKEN must be 8 to 512 printable characters without spaces');
  }
  const level = text('RINGMASTER_LOG_LEVEL') ?? 'info';
  if (!['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'].includes(level)) {
    throw new Error(`RINGMASTER_LOG_LEVEL must be a level such as info, not "${level}"`);
  }
  const temporalUi = text('RINGMASTER_TEMPORAL_UI_URL');
  if (temporalUi !== undefined && !(URL.canParse(temporalUi) && /^https?:$/.test(new URL(temporalUi).protocol))) {
    throw new Error(`RINGMASTER_TEMPORAL_UI_URL must be an address such as http://127.0.0.1:8233, not "${temporalUi}"`);
  }
  return {
    temporalUi:
      temporalUi === undefined
        ? null
        : { url: temporalUi.replace(/\/+$/, ''), namespace: text('TEMPORAL_NAMESPACE') ?? 'default' },
    host: text('RINGMASTER_HOST') ?? '127.0.0.1',
    port: whole('RINGMASTER_PORT', 8420, 0, 65_535),
    databaseUrl,
    dataDirectory: resolve(text('RINGMASTER_DATA') ?? '.ringmaster'),
    bootstrapToken,
    webSecret: text('RINGMASTER_WEB_SECRET'),
    idlePollSeconds: whole('RINGMASTER_POLL_SECONDS', 30, 1, 3_600),
    trustProxy: proxies(text('RINGMASTER_TRUST_PROXY')),
    logLevel: level,
    poolSize: whole('RINGMASTER_API_CONNECTIONS', 10, 1, 200),
    rateLimits: {
      perPerson: whole('RINGMASTER_RATE_PER_PERSON', 6_000, 0, 10_000_000),
      perAddress: whole('RINGMASTER_RATE_PER_ADDRESS', 12_000, 0, 10_000_000),
    },
  };
}

/** A number of hops, or addresses and networks; nothing is trusted unless somebody says so. */
function proxies(given: string | undefined): boolean | number | string {
  if (given === undefined) return false;
  if (/^\d{1,2}$/.test(given)) return Number(given);
  if (/^[0-9a-fA-F.:/, a-z]+$/.test(given)) return given;
  throw new Error(`RINGMASTER_TRUST_PROXY must be a number of hops or addresses, not "${given}"`);
}
