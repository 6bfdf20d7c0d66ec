/**
 * One declaration per route feeds the router, validation, the permission check and OpenAPI. Nothing is reachable below
 * /v1 without a permission being named.
 */
import type { Request, Response } from 'express';
import type { z } from 'zod';
import type { Queryable } from '../../db/pool.js';
import type { Permission } from '../../domain/identity/permissions.js';
import type { EpochMs } from '../../domain/time.js';
import type { Person } from '../auth/person.js';

export type Method = 'get' | 'post' | 'put' | 'patch' | 'delete';

export interface Reply {
  readonly status: number;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** Instead of a body: takes over once status and headers are set, and ends the response when it likes. */
  readonly stream?: (res: Response) => void;
}

export interface ResponseSpec {
  readonly description: string;
  /** Default `application/json`. */
  readonly contentType?: string;
  readonly schema?: z.ZodType;
}

export interface Context<P, Q, B> {
  readonly params: P;
  readonly query: Q;
  readonly body: B;
  readonly person: Person;
  readonly now: EpochMs;
  readonly req: Request;
}

/** What a client edits of a resource, read for its ETag; null when there is none. */
export type ReadCurrent<P = never> = (db: Queryable, params: P) => Promise<unknown>;

/** What makes a route more than method and path. */
interface Traits {
  /** The reply holds what is shown once: it is never stored under an Idempotency-Key. */
  readonly secretReply?: boolean;
}

export interface RouteSpec<P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType> extends Traits {
  readonly method: Method;
  /** Express path: `/v1/changes/:id`. */
  readonly path: string;
  readonly summary: string;
  readonly permission: Permission;
  readonly params?: P;
  readonly query?: Q;
  readonly body?: B;
  /** Default `application/json`; anything else reaches the schema as text. */
  readonly bodyType?: string;
  /** The media type of a body that the handler reads from the request as it arrives. */
  readonly upload?: string;
  /** Of a GET: gives its resource an ETag that PUT, PATCH and DELETE of the same path honour (preconditions.ts). */
  readonly current?: ReadCurrent<z.output<P>>;
  readonly responses: Readonly<Record<number, ResponseSpec>>;
  readonly handler: (context: Context<z.output<P>, z.output<Q>, z.output<B>>) => Promise<Reply>;
}

/** A route with its types forgotten: validation has run before `handler` sees anything. */
export interface Route extends Traits {
  readonly method: Method;
  readonly path: string;
  readonly summary: string;
  readonly permission: Permission;
  readonly params?: z.ZodType | undefined;
  readonly query?: z.ZodType | undefined;
  readonly body?: z.ZodType | undefined;
  readonly bodyType: string;
  readonly upload?: string | undefined;
  readonly current?: ReadCurrent | undefined;
  readonly responses: Readonly<Record<number, ResponseSpec>>;
  readonly handler: (context: Context<never, never, never>) => Promise<Reply>;
}

export function route<
  P extends z.ZodType = z.ZodUndefined,
  Q extends z.ZodType = z.ZodUndefined,
  B extends z.ZodType = z.ZodUndefined,
>(spec: RouteSpec<P, Q, B>): Route {
  return {
    ...spec,
    bodyType: spec.bodyType ?? 'application/json',
    handler: spec.handler as unknown as Route['handler'],
  };
}
