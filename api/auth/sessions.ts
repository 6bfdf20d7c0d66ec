/** Sessions in PostgreSQL, so that any replica knows them and a restart ends none. */
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import connectPgSimple from 'connect-pg-simple';
import type { Request, RequestHandler } from 'express';
import session from 'express-session';
import type { Pool } from 'pg';
import type { Logger } from 'pino';

declare module 'express-session' {
  interface SessionData {
    accountId: string;
    signedInAt: number;
  }
}

const LIFETIME_MS = 12 * 3_600_000;

/** A session ends twelve hours after the sign-in, however busy it is. */
export function sessionMiddleware(deps: { pool: Pool; secret: string; logger: Logger }): RequestHandler {
  const Store = connectPgSimple(session);
  return session({
    name: 'ringmaster.sid',
    secret: deps.secret,
    resave: false,
    saveUninitialized: false,
    store: new Store({
      pool: deps.pool,
      tableName: 'web_session',
      createTableIfMissing: false,
      disableTouch: true,
      ttl: LIFETIME_MS / 1_000,
      pruneSessionInterval: 15 * 60,
      errorLog: (...args: unknown[]) => deps.logger.warn({ args: args.map(String) }, 'session store'),
    }),
    cookie: { httpOnly: true, sameSite: 'lax', secure: 'auto', maxAge: LIFETIME_MS, path: '/' },
  });
}

/** A new session id for whoever has just proven who they are, so that a planted one is worth nothing. */
export function startSession(req: Request, accountId: string, now: number): Promise<void> {
  return new Promise((resolve, reject) => {
    req.session.regenerate((error) => {
      if (error) {
        reject(error);
        return;
      }
      req.session.accountId = accountId;
      req.session.signedInAt = now;
      req.session.save((saveError) => (saveError ? reject(saveError) : resolve()));
    });
  });
}

export function endSession(req: Request): Promise<void> {
  return new Promise((resolve, reject) => {
    req.session.destroy((error) => (error ? reject(error) : resolve()));
  });
}

/** The secret that signs cookies: from the environment when replicas must share it, else kept beside the data (mode 0600). */
export function webSecret(args: { fromEnvironment: string | undefined; dataDirectory: string }): string {
  if (args.fromEnvironment !== undefined && args.fromEnvironment !== '') {
    if (args.fromEnvironment.length < 32) throw new Error('RINGMASTER_WEB_SECRET must have at least 32 characters');
    return args.fromEnvironment;
  }
  const folder = join(args.dataDirectory, 'secrets');
  const file = join(folder, 'web-secret');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  try {
    writeFileSync(file, randomBytes(32).toString('base64url'), { mode: 0o600, flag: 'wx' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  const secret = readFileSync(file, 'utf8').trim();
  if (secret.length < 32)
    throw new Error(`${file} is damaged: delete it and start again (everybody must sign in again)`);
  return secret;
}
