/**
 * HTTP Message Signatures (RFC 9421) with Ed25519, over content digests (RFC 9530): how an endpoint proves each request.
 *
 * Covered, always in this order: `"@method" "@path"`, `"@query"` when the target has one, and with a body
 * `"content-digest" "content-type"`. A request that leaves one of them uncovered is refused, so nothing of it can be
 * changed on the way. Parameters: `created` (seconds), `keyid`, `alg="ed25519"`; the signature's label is `sig`.
 * Pure: no clock, no IO. The host name is not covered, because TLS may end at a proxy that names us differently.
 */
import { createHash, type KeyObject, sign, timingSafeEqual, verify } from 'node:crypto';

export interface SignableRequest {
  /** As on the wire, upper case. */
  readonly method: string;
  /** Absolute path as on the wire (percent-encoding untouched), without the query. */
  readonly path: string;
  /** What follows `?`, without it; null when the target has none. */
  readonly query: string | null;
  /** Names in lower case, as Node's `IncomingMessage.headers` has them. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** The body's exact bytes; null or empty when there is none. */
  readonly body: Uint8Array | null;
}

/** A signature as found in the headers, not yet verified: look up `keyid`'s key, then call {@link verifyRequest}. */
export interface RequestSignature {
  readonly keyid: string;
  /** Epoch seconds, the sender's clock. */
  readonly created: number;
  readonly components: readonly string[];
  /** The inner list with its parameters exactly as received: the value of `"@signature-params"`. */
  readonly params: string;
  readonly value: Buffer;
}

export type ReadResult =
  | { readonly ok: true; readonly signature: RequestSignature }
  | { readonly ok: false; readonly reason: string };

export type VerifyResult =
  | { readonly ok: true }
  /** `clock`: the signature is right but its time is not; tell the sender our time and it can try again. */
  | { readonly ok: false; readonly fault: 'clock' | 'digest' | 'coverage' | 'signature'; readonly reason: string };

/** How far `created` may be from the server's clock, either way, unless the caller says otherwise. */
export const MAX_SIGNATURE_SKEW_MS = 5 * 60_000;

const LABEL = 'sig';
const ALGORITHM = 'ed25519';

/** The value of `Content-Digest` for these bytes (RFC 9530, sha-256). */
export function contentDigest(body: Uint8Array): string {
  return `sha-256=:${createHash('sha256').update(body).digest('base64')}:`;
}

/**
 * The headers to add to a request: `signature-input`, `signature` and, with a body, `content-digest`.
 * `created` is in epoch seconds. With a body, `request.headers` must hold `content-type`.
 * @throws Error when a covered header is missing, or `keyid` can't be put into a header.
 */
export function signRequest(args: {
  readonly request: SignableRequest;
  readonly keyid: string;
  readonly privateKey: KeyObject;
  readonly created: number;
}): Record<string, string> {
  if (!/^[\x20-\x21\x23-\x5b\x5d-\x7e]{1,256}$/.test(args.keyid)) throw new Error('keyid is not a plain string');
  const added: Record<string, string> = {};
  if (hasBody(args.request)) added['content-digest'] = contentDigest(args.request.body as Uint8Array);
  const request = { ...args.request, headers: { ...args.request.headers, ...added } };
  const list = requiredComponents(request).map((name) => `"${name}"`);
  const params = `(${list.join(' ')});created=${args.created};keyid="${args.keyid}";alg="${ALGORITHM}"`;
  const base = signatureBase({ request, components: requiredComponents(request), params });
  if (!base.ok) throw new Error(base.reason);
  const value = sign(null, Buffer.from(base.base, 'latin1'), args.privateKey).toString('base64');
  return { ...added, 'signature-input': `${LABEL}=${params}`, signature: `${LABEL}=:${value}:` };
}

/** Reads `Signature-Input` and `Signature`. Strict: one signature, labelled `sig`, nothing but the parameters above. */
export function readSignature(headers: SignableRequest['headers'], label = LABEL): ReadResult {
  const input = single(headers['signature-input']);
  const given = single(headers.signature);
  if (input === undefined) return { ok: false, reason: 'header Signature-Input is missing or given twice' };
  if (given === undefined) return { ok: false, reason: 'header Signature is missing or given twice' };
  if (input.length > 1_024 || given.length > 256) return { ok: false, reason: 'signature headers are too long' };
  const signature = /^([a-z][a-z0-9-]*)=:([A-Za-z0-9+/]{86}==):$/.exec(given);
  const listed =
    /^([a-z][a-z0-9-]*)=(\(((?:"[a-z0-9@-]+"(?: "[a-z0-9@-]+")*)?)\)((?:;[a-z]+=(?:\d{1,12}|"[^"\\]*"))*))$/.exec(
      input,
    );
  if (signature?.[1] !== label) return { ok: false, reason: 'header Signature is malformed' };
  if (listed?.[1] !== label) return { ok: false, reason: 'header Signature-Input is malformed' };
  const parameters = readParameters(listed[4] ?? '');
  if (parameters === null) return { ok: false, reason: 'a signature parameter is unknown, repeated or missing' };
  const components = (listed[3] ?? '')
    .split(' ')
    .filter(Boolean)
    .map((quoted) => quoted.slice(1, -1));
  const value = Buffer.from(signature[2] ?? '', 'base64');
  return { ok: true, signature: { ...parameters, components, params: listed[2] ?? '', value } };
}

/**
 * Whether the request is exactly what the holder of `publicKey` signed, lately. Checks coverage, the digest of the body,
 * the signature, and only then the time, so `clock` is only ever said to the key's holder. Never throws.
 */
export function verifyRequest(args: {
  readonly request: SignableRequest;
  readonly signature: RequestSignature;
  readonly publicKey: KeyObject;
  readonly now: number;
  readonly maxSkewMs?: number;
}): VerifyResult {
  const { request, signature } = args;
  const missing = requiredComponents(request).find((name) => !signature.components.includes(name));
  if (missing !== undefined) return { ok: false, fault: 'coverage', reason: `the signature does not cover ${missing}` };
  if (!digestMatches(request)) return { ok: false, fault: 'digest', reason: 'Content-Digest does not match the body' };
  const base = signatureBase({ request, components: signature.components, params: signature.params });
  if (!base.ok) return { ok: false, fault: 'coverage', reason: base.reason };
  if (!verify(null, Buffer.from(base.base, 'latin1'), args.publicKey, signature.value)) {
    return { ok: false, fault: 'signature', reason: 'the signature does not verify' };
  }
  const skew = Math.abs(args.now - signature.created * 1_000);
  return skew <= (args.maxSkewMs ?? MAX_SIGNATURE_SKEW_MS)
    ? { ok: true }
    : { ok: false, fault: 'clock', reason: `the signature's time is ${Math.round(skew / 1_000)} s off` };
}

/** The string that is signed (RFC 9421 §2.5), or why there is none. */
export function signatureBase(args: {
  readonly request: SignableRequest;
  readonly components: readonly string[];
  readonly params: string;
}): { readonly ok: true; readonly base: string } | { readonly ok: false; readonly reason: string } {
  if (new Set(args.components).size !== args.components.length)
    return { ok: false, reason: 'a component is covered twice' };
  const lines: string[] = [];
  for (const name of args.components) {
    const value = componentValue(args.request, name);
    if (value === undefined) return { ok: false, reason: `covered component ${name} is missing` };
    lines.push(`"${name}": ${value}`);
  }
  return { ok: true, base: [...lines, `"@signature-params": ${args.params}`].join('\n') };
}

function hasBody(request: SignableRequest): boolean {
  return request.body !== null && request.body.length > 0;
}

function requiredComponents(request: SignableRequest): string[] {
  return [
    '@method',
    '@path',
    ...(request.query === null ? [] : ['@query']),
    ...(hasBody(request) ? ['content-digest', 'content-type'] : []),
  ];
}

function componentValue(request: SignableRequest, name: string): string | undefined {
  switch (name) {
    case '@method':
      return request.method;
    case '@path':
      return request.path === '' ? '/' : request.path;
    case '@query':
      return `?${request.query ?? ''}`;
    case '@authority':
      return single(request.headers.host)?.toLowerCase();
    default:
      return name.startsWith('@') ? undefined : single(request.headers[name])?.trim();
  }
}

/** Without a body a digest is not needed, but if there is one it must be that of no bytes. */
function digestMatches(request: SignableRequest): boolean {
  const given = single(request.headers['content-digest']);
  if (given === undefined) return !hasBody(request);
  const expected = Buffer.from(contentDigest(request.body ?? new Uint8Array()));
  const actual = Buffer.from(given);
  return actual.length === expected.length && timingSafeEqual(actual, expected);
}

function readParameters(text: string): { keyid: string; created: number } | null {
  const found = new Map<string, string>();
  for (const [, name, value] of text.matchAll(/;([a-z]+)=(\d{1,12}|"[^"\\]*")/g)) {
    if (name === undefined || value === undefined || found.has(name)) return null;
    if (!['created', 'keyid', 'alg'].includes(name)) return null;
    found.set(name, value);
  }
  const created = found.get('created') ?? '';
  const keyid = found.get('keyid') ?? '';
  if (!/^\d+$/.test(created) || !/^".+"$/.test(keyid)) return null;
  if (found.has('alg') && found.get('alg') !== `"${ALGORITHM}"`) return null;
  return { keyid: keyid.slice(1, -1), created: Number(created) };
}

function single(value: string | readonly string[] | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
