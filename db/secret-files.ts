/** Secrets by file: what an orchestrator mounts, so that no password stands in a process's environment or command line. */
import { readFileSync } from 'node:fs';

/** Variables that may also be given as `<NAME>_FILE`, the path of a file that holds the value. */
const SECRETS = ['RINGMASTER_WEB_SECRET', 'RINGMASTER_BOOTSTRAP_TOKEN', 'RINGMASTER_SMTP_URL'] as const;

/**
 * The environment with each `<NAME>_FILE` read into `<NAME>`, and the password of `DATABASE_PASSWORD_FILE` put into
 * `DATABASE_URL`. A trailing line break is not part of a secret.
 * @throws Error naming the variable whose file can't be read or is empty, or that is given twice.
 */
export function withSecretFiles(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const result: NodeJS.ProcessEnv = { ...env };
  for (const name of SECRETS) {
    const secret = readSecret(env, name);
    if (secret !== undefined) result[name] = secret;
  }
  const password = secretFile(env.DATABASE_PASSWORD_FILE, 'DATABASE_PASSWORD_FILE');
  if (password !== undefined) result.DATABASE_URL = withPassword(env.DATABASE_URL, password);
  return result;
}

/** One secret by name: from its file, else undefined. @throws Error when both ways are used, or the file is no good */
export function readSecret(env: NodeJS.ProcessEnv, name: string): string | undefined {
  const secret = secretFile(env[`${name}_FILE`], `${name}_FILE`);
  if (secret !== undefined && env[name] !== undefined && env[name] !== '')
    throw new Error(`${name} and ${name}_FILE are both set: one of them is enough`);
  return secret;
}

/** The URL with this password in it. @throws Error when it is no URL */
export function withPassword(url: string | undefined, password: string): string {
  if (url === undefined || !URL.canParse(url))
    throw new Error('a password file needs a database URL such as postgresql://role@host:5432/database');
  const full = new URL(url);
  full.password = encodeURIComponent(password);
  return full.href;
}

/** The content of a secret's file; undefined when no file is named. @throws Error naming the variable */
export function secretFile(path: string | undefined, variable: string): string | undefined {
  if (path === undefined || path === '') return undefined;
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new Error(`${variable}: ${(error as Error).message}`);
  }
  const secret = text.replace(/\r?\n$/, '');
  if (secret === '') throw new Error(`${variable}: ${path} is empty`);
  return secret;
}
