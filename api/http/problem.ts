/** Errors as RFC 9457 problem documents: what a client is told, and nothing it should not know. */

export interface FieldError {
  /** Where: `spec.rings[0].errorBudget.percent`; empty for the whole part. */
  readonly field: string;
  readonly in: 'body' | 'query' | 'path' | 'header';
  readonly reason: string;
}

export interface ProblemOptions {
  readonly status: number;
  /** Last part of the type URI; stable, for programs. */
  readonly type: string;
  readonly title: string;
  readonly detail?: string;
  readonly errors?: readonly FieldError[];
  readonly headers?: Readonly<Record<string, string>>;
  /** Further members, such as `serverTime`. */
  readonly extra?: Readonly<Record<string, unknown>>;
}

/** Thrown by handlers; the error middleware turns it into `application/problem+json`. */
export class Problem extends Error {
  override readonly name = 'Problem';
  readonly status: number;
  constructor(readonly options: ProblemOptions) {
    super(options.detail ?? options.title);
    this.status = options.status;
  }

  body(): Record<string, unknown> {
    const { status, type, title, detail, errors, extra } = this.options;
    return {
      type: `urn:ringmaster:problem:${type}`,
      title,
      status,
      ...(detail === undefined ? {} : { detail }),
      ...(errors === undefined ? {} : { errors }),
      ...extra,
    };
  }
}

export function invalid(errors: readonly FieldError[]): Problem {
  const detail = errors
    .slice(0, 5)
    .map((e) => (e.field === '' ? `${e.in}: ${e.reason}` : `${e.field}: ${e.reason}`))
    .join('; ');
  return new Problem({ status: 400, type: 'invalid-request', title: 'The request is not valid', detail, errors });
}

/** One wrong field. */
export function invalidField(field: string, reason: string, where: FieldError['in'] = 'body'): Problem {
  return invalid([{ field, in: where, reason }]);
}

export function notFound(what: string): Problem {
  return new Problem({ status: 404, type: 'not-found', title: 'Not found', detail: `no such ${what}` });
}

export function conflict(detail: string): Problem {
  return new Problem({ status: 409, type: 'conflict', title: 'Not possible in the present state', detail });
}

export function unauthenticated(detail: string): Problem {
  return new Problem({
    status: 401,
    type: 'unauthenticated',
    title: 'Sign in first',
    detail,
    headers: { 'www-authenticate': 'Bearer realm="ringmaster"' },
  });
}

export function forbidden(detail: string): Problem {
  return new Problem({ status: 403, type: 'forbidden', title: 'Not allowed', detail });
}

/** Something we depend on is away; the client should come back. */
export function unavailable(detail: string, retryAfterSeconds = 5): Problem {
  return new Problem({
    status: 503,
    type: 'unavailable',
    title: 'Temporarily not available',
    detail,
    headers: { 'retry-after': String(retryAfterSeconds) },
  });
}
