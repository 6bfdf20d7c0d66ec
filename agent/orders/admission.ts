/** What comes from the server, judged before anything is done with it. Pure. */
import type { KeyObject } from 'node:crypto';
import { OPENSCAP } from '../../domain/baseline/rule-name.js';
import { type Envelope, ORDER_TYPE, openEnvelope, PERMIT_TYPE } from '../../protocol/envelope.js';
import { type OrderDocument, orderDocument, type PermitDocument, permitDocument } from '../../protocol/messages.js';
import { checkObjection } from '../health/checks.js';
import { clockObjection, type ServerClock } from '../transport/clock.js';

export type Admission =
  | { readonly kind: 'order'; readonly doc: OrderDocument }
  /** Ours by its signature, but not to be carried out: `refuse` it by its id. */
  | {
      readonly kind: 'refused';
      readonly orderId: string;
      readonly orderKind: OrderDocument['kind'];
      readonly reason: string;
    }
  /** Nobody vouches for any of it, not even for its id; or it is somebody else's. */
  | { readonly kind: 'untrusted'; readonly reason: string };

export interface AdmissionContext {
  readonly endpointId: string;
  readonly trusted: ReadonlyMap<string, KeyObject>;
  /** The latest the server's clock can show, epoch ms. */
  readonly latest: number;
  readonly provider: string;
  /** Further ones that orders may name. */
  readonly providers?: readonly string[];
}

const MAX_UPDATES = 5_000;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const KINDS = ['scan', 'stage', 'change', 'revert'] as const;

export function admitOrder(envelope: Envelope, context: AdmissionContext): Admission {
  const opened = openEnvelope({ envelope, type: ORDER_TYPE, trusted: context.trusted });
  if (!opened.ok) return { kind: 'untrusted', reason: `order: ${opened.reason}` };
  const raw = (typeof opened.document === 'object' && opened.document !== null ? opened.document : {}) as Record<
    string,
    unknown
  >;
  if (raw.endpointId !== context.endpointId) return { kind: 'untrusted', reason: 'order: it is for another endpoint' };
  if (typeof raw.orderId !== 'string' || !UUID.test(raw.orderId))
    return { kind: 'untrusted', reason: 'order: it has no id' };
  const { orderId } = raw;
  const orderKind = KINDS.find((kind) => kind === raw.kind) ?? 'change';
  const refuse = (reason: string): Admission => ({ kind: 'refused', orderId, orderKind, reason });
  const parsed = orderDocument.safeParse(raw);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    return refuse(`the order is malformed: ${issue?.path.join('.')}: ${issue?.message}`);
  }
  const objection = documentObjection(parsed.data, context);
  return objection === null ? { kind: 'order', doc: parsed.data } : refuse(objection);
}

function documentObjection(doc: OrderDocument, context: AdmissionContext): string | null {
  if (context.latest >= doc.expiresAt) return 'the order has expired';
  if (doc.kind === 'scan') return null;
  if (doc.provider !== context.provider && context.providers?.includes(doc.provider) !== true)
    return `provider ${doc.provider} is not available here, only ${context.provider}`;
  if (doc.kind === 'revert' && doc.reverts === null) return 'the order does not say what it reverts';
  if (doc.kind === 'change' && doc.planDigest === null) return 'the order names no plan';
  if (doc.updates.length === 0) return 'the order names no updates';
  const unnamed = baselineObjection(doc);
  if (unnamed !== null) return unnamed;
  if (doc.updates.length > MAX_UPDATES) return `the order names more than ${MAX_UPDATES} updates`;
  const names = doc.updates.map((update) => `${update.name}:${update.arch}`);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) return `the order names ${twice} twice`;
  return doc.healthChecks.map((check) => checkObjection(check)).find((reason) => reason !== null) ?? null;
}

/** What measures by a baseline says by which, and which rule each update is. */
function baselineObjection({ provider, baseline, updates }: OrderDocument): string | null {
  if (provider !== OPENSCAP) return baseline === undefined ? null : `provider ${provider} knows no baselines`;
  if (baseline === undefined) return 'the order names no baseline';
  const names = new Set(baseline.rules.map((rule) => rule.name));
  const missing = updates.find((update) => !names.has(update.name));
  return missing === undefined ? null : `the order does not say which rule ${missing.name} is`;
}

export type PermitAdmission =
  | { readonly kind: 'permit'; readonly permit: PermitDocument }
  | { readonly kind: 'untrusted'; readonly reason: string };

/** A permit counts only for the very order, endpoint and plan it names. Whether it is still in time is asked at each use. */
export function admitPermit(
  envelope: Envelope,
  order: OrderDocument,
  context: Pick<AdmissionContext, 'trusted' | 'endpointId'>,
): PermitAdmission {
  const untrusted = (reason: string): PermitAdmission => ({ kind: 'untrusted', reason: `permit: ${reason}` });
  const opened = openEnvelope({ envelope, type: PERMIT_TYPE, trusted: context.trusted });
  if (!opened.ok) return untrusted(opened.reason);
  const parsed = permitDocument.safeParse(opened.document);
  if (!parsed.success) return untrusted(`${parsed.error.issues[0]?.path.join('.')} is malformed`);
  const permit = parsed.data;
  if (permit.endpointId !== context.endpointId) return untrusted('it is for another endpoint');
  if (permit.orderId !== order.orderId) return untrusted('it is for another order');
  if (permit.planDigest !== order.planDigest) return untrusted('it is for another plan');
  return { kind: 'permit', permit };
}

/** Why a start now is not covered; null when it is. Judged by the latest time the server's clock can show. */
export function startObjection(args: {
  readonly permit: PermitDocument | null;
  readonly order: Pick<OrderDocument, 'expiresAt'>;
  readonly clock: Pick<ServerClock, 'latest' | 'skewMs'>;
}): string | null {
  if (args.permit === null) return 'no permit yet';
  const clock = clockObjection(args.clock);
  if (clock !== null) return clock;
  const latest = args.clock.latest() as number;
  if (latest > args.permit.startBy) return 'the permit has ended';
  return latest >= args.order.expiresAt ? 'the order has expired' : null;
}

/** Why a reboot now is not covered; null when it is. */
export function rebootObjection(args: {
  readonly permit: PermitDocument | null;
  readonly clock: Pick<ServerClock, 'latest' | 'skewMs'>;
}): string | null {
  if (args.permit === null || args.permit.rebootBy === null) return 'no permit to reboot yet';
  const clock = clockObjection(args.clock);
  if (clock !== null) return clock;
  return (args.clock.latest() as number) > args.permit.rebootBy ? 'the permit to reboot has ended' : null;
}
