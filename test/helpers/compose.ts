/** docker-compose.yml as data, and its environments as a host without containers can use them. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { repositoryRoot } from './repository.js';

export interface Service {
  readonly image: string;
  readonly build?: { readonly context: string; readonly target: string };
  readonly command?: readonly string[];
  readonly entrypoint?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly secrets?: readonly string[];
  readonly volumes?: readonly string[];
  readonly ports?: readonly string[];
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly healthcheck?: { readonly test?: readonly string[]; readonly disable?: boolean };
  readonly restart?: string;
  readonly user?: string;
  readonly read_only?: boolean;
  readonly stop_grace_period?: string;
  readonly deploy?: { readonly replicas?: number };
}

export interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Readonly<Record<string, unknown>>;
  readonly secrets: Readonly<Record<string, { readonly file: string }>>;
}

/** With YAML's merges done and every `${NAME:-default}` as it is without an .env file. @throws Error for a variable without a default */
export function readCompose(): Compose {
  const text = readFileSync(join(repositoryRoot, 'docker-compose.yml'), 'utf8');
  return interpolated(parse(text, { merge: true })) as Compose;
}

function interpolated(value: unknown): unknown {
  if (typeof value === 'string') {
    return value.replace(/\$\$|\$\{([A-Z_]+)(:-([^}]*))?\}|\$/g, (found, name, given, fallback) => {
      if (found === '$$') return '$';
      if (name === undefined || given === undefined) throw new Error(`${found} in "${value}" has no default`);
      return fallback;
    });
  }
  if (Array.isArray(value)) return value.map(interpolated);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, interpolated(inner)]));
}

/** A service's environment with names and paths of the containers' world replaced, in this order. */
export function environmentOf(
  service: Service,
  replace: readonly (readonly [string, string])[],
): Record<string, string> {
  const moved = (text: string) => replace.reduce((now, [from, to]) => now.replaceAll(from, to), text);
  return Object.fromEntries(Object.entries(service.environment ?? {}).map(([name, value]) => [name, moved(value)]));
}
