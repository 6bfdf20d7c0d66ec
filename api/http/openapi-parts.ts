/** The parts of the OpenAPI document that all routes share: problems, headers, tags. Plain JSON, referred to by name. */

const PROBLEM = {
  type: 'object',
  description: 'RFC 9457',
  required: ['type', 'title', 'status'],
  properties: {
    type: { type: 'string', description: 'Stable, for programs', examples: ['urn:ringmaster:problem:invalid-request'] },
    title: { type: 'string' },
    status: { type: 'integer' },
    detail: { type: 'string', description: 'For people: what is wrong here' },
    instance: { type: 'string', description: '`urn:uuid:` and the `X-Request-Id`: quote it, logs have it' },
    errors: {
      type: 'array',
      items: {
        type: 'object',
        required: ['field', 'in', 'reason'],
        properties: {
          field: { type: 'string', examples: ['spec.rings[0].errorBudget.percent'] },
          in: { type: 'string', enum: ['body', 'query', 'path', 'header'] },
          reason: { type: 'string' },
        },
      },
    },
  },
} as const;

/** Every problem a route below /v1 may answer with. */
export const FAULTS = {
  400: ['InvalidRequest', 'The request is not valid; `errors` names every field'],
  401: ['Unauthenticated', 'No token or session, or one that is unknown, expired or revoked; `detail` says which'],
  403: ['Forbidden', 'Role or scope do not allow it'],
  404: ['NotFound', 'No such thing'],
  409: ['Conflict', 'Not possible in the present state; or a request with this Idempotency-Key is under way'],
  412: ['PreconditionFailed', 'If-Match or If-None-Match does not hold: read it again'],
  413: ['TooLarge', 'The body is larger than 1 MB'],
  415: ['UnsupportedMediaType', 'The body has another media type'],
  422: ['KeyReused', 'The Idempotency-Key belongs to another request'],
  429: ['TooManyRequests', 'More than the rate limit; see Retry-After'],
  503: ['Unavailable', 'Temporarily not available; see Retry-After'],
} as const;

export type Fault = keyof typeof FAULTS;

const header = (description: string, schema: object = { type: 'string' }) => ({ description, schema });
const ref = (kind: string, name: string) => ({ $ref: `#/components/${kind}/${name}` });

export const REPLY_HEADERS = {
  'X-Request-Id': ref('headers', 'XRequestId'),
  RateLimit: ref('headers', 'RateLimit'),
  'RateLimit-Policy': ref('headers', 'RateLimitPolicy'),
};
export const ETAG_HEADER = { ETag: ref('headers', 'ETag') };
export const REPLAYED_HEADER = { 'Idempotency-Replayed': ref('headers', 'IdempotencyReplayed') };
export const LOCATION_HEADER = { Location: ref('headers', 'Location') };

export const IDEMPOTENCY_KEY = ref('parameters', 'IdempotencyKey');
export const IF_MATCH = ref('parameters', 'IfMatch');
export const IF_NONE_MATCH = ref('parameters', 'IfNoneMatch');

export const faultRef = (status: Fault): object => ref('responses', FAULTS[status][0]);

function faultResponses(): Record<string, object> {
  return Object.fromEntries(
    Object.entries(FAULTS).map(([status, [name, description]]) => [
      name,
      {
        description,
        headers: {
          ...REPLY_HEADERS,
          ...(['409', '429', '503'].includes(status) ? { 'Retry-After': ref('headers', 'RetryAfter') } : {}),
          ...(status === '401' ? { 'WWW-Authenticate': ref('headers', 'WwwAuthenticate') } : {}),
        },
        content: { 'application/problem+json': { schema: ref('schemas', 'Problem') } },
      },
    ]),
  );
}

export const COMPONENTS = {
  schemas: { Problem: PROBLEM },
  responses: faultResponses(),
  headers: {
    XRequestId: header('Names the request; quote it when something is wrong'),
    RateLimit: header('What is left: `"person";r=5999;t=60`'),
    RateLimitPolicy: header('The limit: `"person";q=6000;w=60`'),
    RetryAfter: header('Seconds until it is worth another try', { type: 'integer', minimum: 1 }),
    WwwAuthenticate: header('How to authenticate'),
    ETag: header('The version; send it as If-Match to change just that one'),
    Location: header('Where the new thing is', { type: 'string', format: 'uri-reference' }),
    IdempotencyReplayed: header('`true`: this is the reply of the first request with this key', { type: 'string' }),
  },
  parameters: {
    IdempotencyKey: {
      name: 'Idempotency-Key',
      in: 'header',
      required: false,
      description: 'Your name for this one effect, best a UUID: the same request again then has no second one',
      schema: { type: 'string', pattern: '^[!-~]{1,255}$' },
      example: '8e03978e-40d5-43e8-bc93-6894a57f9324',
    },
    IfMatch: {
      name: 'If-Match',
      in: 'header',
      required: false,
      description: 'The ETag you read: refused with 412 when it has changed since. `*`: it exists',
      schema: { type: 'string', pattern: '^(\\*|"[!#-~]*")$' },
    },
    IfNoneMatch: {
      name: 'If-None-Match',
      in: 'header',
      required: false,
      description: 'With GET: 304 when you have that version. With PUT and `*`: only make it, never change it',
      schema: { type: 'string', pattern: '^(\\*|(W/)?"[!#-~]*")$' },
    },
  },
  securitySchemes: {
    bearer: { type: 'http', scheme: 'bearer', description: 'An API token (`rmt_…`)' },
    session: { type: 'apiKey', in: 'cookie', name: 'ringmaster.sid', description: 'As browsers have after signing in' },
  },
};

/** By the first segment of the path. */
export const TAGS: Readonly<Record<string, string>> = {
  accounts: 'People, their roles and API tokens',
  approvals: 'What waits for a decision, and deciding it',
  audit: 'Who did what, newest first',
  'baseline-assignments': 'Which endpoints are measured by which baselines (docs/baselines.md)',
  baselines: 'Security baselines: SCAP data streams, their rules and fixes (docs/baselines.md)',
  changes: 'Patch cycles: plan, start, follow, pause, abort, roll back',
  compliance: 'How the fleet stands by its baselines',
  endpoints: 'Machines with an agent',
  events: 'Server-sent events (docs/events.md)',
  exceptions: 'Updates kept away from endpoints for a while, by name and with an end',
  'freeze-calendars': 'Times when nothing opens',
  'gold-standards': 'Endpoints as they were, for others to be compared with',
  groups: 'Named selectors of endpoints (docs/selectors.md)',
  incidents: 'What came of what agents noticed',
  'join-tokens': 'Tokens with which machines enrol',
  'notice-rules': 'What happens when an agent notices something',
  orders: 'What single endpoints were asked to do, and did',
  'policy-sets': 'Hours of operation, reboots, checks and hooks (docs/hours-of-operation.md)',
  'quorum-groups': 'Endpoints of which only so many may be unavailable at once',
  repositories: 'Where packages come from',
  roles: 'Roles of the installation’s own',
  schedules: 'Changes that start by the calendar',
  selectors: 'Trying selectors out',
  self: 'Who you are',
  'stop-all': 'The red button',
  'zero-day': 'Expedited changes for what can’t wait',
};
