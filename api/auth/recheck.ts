/** Whether who opened something long-lived may still have it: asked again while it runs. */
import type { Request } from 'express';
import type { Pool } from 'pg';
import { findBearer, findByAccount, sessionLives } from '../../db/identity/people.js';
import type { Permission } from '../../domain/identity/permissions.js';
import type { EpochMs } from '../../domain/time.js';

export type Identity =
  | { readonly by: 'token'; readonly token: string }
  | { readonly by: 'session'; readonly accountId: string; readonly sessionId: string };

/** By what the request was let in. @throws Error when it was not let in at all */
export function identityOf(req: Request): Identity {
  const token = /^Bearer (\S+)$/i.exec(req.headers.authorization ?? '')?.[1];
  if (token !== undefined) return { by: 'token', token };
  const accountId = req.session?.accountId;
  if (accountId === undefined) throw new Error('nobody is signed in');
  return { by: 'session', accountId, sessionId: req.sessionID };
}

/** False once the token was revoked or has expired, the session ended, or the account lost the permission. */
export async function stillHas(
  pool: Pool,
  args: { readonly identity: Identity; readonly permission: Permission; readonly now: EpochMs },
): Promise<boolean> {
  const { identity } = args;
  if (identity.by === 'session' && !(await sessionLives(pool, identity.sessionId))) return false;
  if (identity.by === 'token') {
    const bearer = await findBearer(pool, identity.token, args.now);
    return bearer.state === 'valid' && bearer.person.permissions.has(args.permission);
  }
  const person = await findByAccount(pool, identity.accountId);
  return person?.permissions.has(args.permission) ?? false;
}
