/** What must hold whatever was killed: asserted from the hosts' own records and from the database. */
import { expect } from '@jest/globals';
import type { Effect } from '../../../agent/providers/simulated/state.js';
import { verifyAudit } from '../../../db/audit/verify.js';
import { compareDebVersionTexts } from '../../../domain/content/deb-version.js';
import type { OrderDocument } from '../../../protocol/messages.js';
import { letOutAfterStop } from '../after-stop.js';
import type { Stack } from '../stack.js';
import type { Host } from './hosts.js';

type Begin = Extract<Effect, { action: 'begin' }>;

/** Every broken promise, as a sentence; empty when all hold. */
export async function brokenPromises(stack: Stack): Promise<string[]> {
  return [
    ...stack.hosts.flatMap(oneEffectPerOrder),
    ...stack.hosts.flatMap(startsInsidePermits),
    ...(await permitsOnRecord(stack)),
    ...(await hostsAreWhereTheirOrdersSay(stack)),
    ...(await brokenOnRecord(stack)),
  ];
}

type OnRecord = Pick<Stack, 'rows' | 'pool'>;

/** Those of them that the database alone can tell. */
export async function brokenOnRecord(stack: OnRecord): Promise<string[]> {
  return [
    ...(await approvedAtRelease(stack)),
    ...(await letOutAfterStop(stack.pool)),
    ...(await settledAtTheEnd(stack)),
    ...(await noViolations(stack)),
    ...(await auditHolds(stack)),
  ];
}

export async function expectPromisesKept(stack: Stack): Promise<void> {
  expect(await brokenPromises(stack)).toEqual([]);
}

const beginsOf = (host: Host): Begin[] => host.effects().filter((e): e is Begin => e.action === 'begin');

/** One apply per order id: begun once, going on again only after it was cut short, each package moved at most once. */
function oneEffectPerOrder(host: Host): string[] {
  const broken: string[] = [];
  const seen = new Map<string, number>();
  const count = (what: string) => seen.set(what, (seen.get(what) ?? 0) + 1);
  let lastEnd: Effect | undefined;
  for (const effect of host.effects()) {
    if (effect.action === 'begin') {
      if (effect.again && !(lastEnd?.action === 'end' && lastEnd.interrupted))
        broken.push(`${host.name}: ${effect.direction} of ${effect.orderId} began again without having been cut short`);
      if (!effect.again) count(`${effect.direction} of ${effect.orderId} began`);
    }
    if (effect.action === 'end') lastEnd = effect;
    if (effect.action === 'install') count(`${effect.direction} of ${effect.orderId} installed ${effect.name}`);
  }
  for (const [what, n] of seen) if (n > 1) broken.push(`${host.name}: ${what} ${n} times`);
  const overlapping = overlaps(host.effects());
  return [...broken, ...overlapping.map((text) => `${host.name}: ${text}`)];
}

function overlaps(effects: readonly Effect[]): string[] {
  const running = new Set<string>();
  const broken: string[] = [];
  for (const effect of effects) {
    if (effect.action === 'begin') {
      const others = [...running].filter((id) => id !== effect.orderId);
      if (others.length > 0) broken.push(`${effect.orderId} began while ${others.join(', ')} was at work`);
      running.add(effect.orderId);
    }
    if (effect.action === 'end') running.delete(effect.orderId);
  }
  return broken;
}

/** No start outside its permit, by the host's own journal and by when its package manager really began. */
function startsInsidePermits(host: Host): string[] {
  const starts = host.starts();
  const broken = starts.flatMap(({ orderId, permit, announcedAt }) => {
    if (permit === null) return [`${host.name}: ${orderId} was started without a permit`];
    return announcedAt <= permit.startBy ? [] : [`${host.name}: ${orderId} was started after its permit had ended`];
  });
  // The way back of a change order needs no permit; every other beginning must have been announced in time.
  for (const begin of beginsOf(host)) {
    const start = starts.find((s) => s.orderId === begin.orderId);
    if (start === undefined) broken.push(`${host.name}: ${begin.orderId} moved packages without having announced it`);
    else if (!begin.again && begin.direction === start.direction && begin.at > (start.permit?.startBy ?? 0))
      broken.push(
        `${host.name}: ${begin.orderId} began ${begin.at - (start.permit?.startBy ?? 0)} ms after its permit`,
      );
  }
  return broken;
}

/** Each start rests on a permit that the server recorded as handed out, and that its events name. */
async function permitsOnRecord(stack: Stack): Promise<string[]> {
  const rows = await stack.rows<{ order_id: string; until: number }>(
    `SELECT order_id, max((detail ->> 'until')::float8) AS until FROM order_event WHERE event = 'permit' GROUP BY order_id`,
  );
  const until = new Map(rows.map((row) => [row.order_id, row.until]));
  return stack.hosts.flatMap((host) =>
    host.starts().flatMap(({ orderId, permit }) => {
      const recorded = until.get(orderId);
      if (recorded === undefined)
        return [`${host.name}: ${orderId} was started on a permit the server has no record of`];
      return permit !== null && permit.startBy > recorded
        ? [`${host.name}: ${orderId} held a permit until ${permit.startBy}, the server recorded ${recorded}`]
        : [];
    }),
  );
}

/** None unapproved: what hosts were given names a plan of its change, and the ring's approvals were counted. */
async function approvedAtRelease(stack: OnRecord): Promise<string[]> {
  const rows = await stack.rows(
    `SELECT o.id, o.kind, v.envelope, r.approved_digest, r.approvals, r.spec -> 'approvals' AS rules,
            array(SELECT p.digest FROM plan p WHERE p.change_id = o.change_id) AS plans,
            array(SELECT a.state FROM approval_request a WHERE a.id = ANY (r.approvals)) AS states
       FROM order_state o JOIN order_envelope v ON v.order_id = o.id
       JOIN ring r ON r.change_id = o.change_id AND r.ordinal = o.home_ring
      WHERE o.kind IN ('change', 'revert')`,
  );
  return rows.flatMap((row) => {
    const document = JSON.parse(Buffer.from(row.envelope.payload, 'base64').toString('utf8')) as OrderDocument;
    const broken: string[] = [];
    if (!row.plans.includes(document.planDigest)) broken.push(`${row.id} names no plan of its change`);
    if (document.planDigest !== row.approved_digest)
      broken.push(`${row.id} names a plan its ring was not approved for`);
    if (row.states.length !== row.rules.length || row.states.some((state: string) => state !== 'approved'))
      broken.push(`${row.id} was let out with approvals ${row.states.join(', ')} of ${row.rules.length}`);
    return broken;
  });
}

/** Every order of a closed change is settled, and no change is left open. */
async function settledAtTheEnd(stack: OnRecord): Promise<string[]> {
  const open = await stack.rows(`SELECT name, stage, waiting_for FROM change WHERE closed_at IS NULL`);
  const orders = await stack.rows(
    `SELECT o.id, o.kind, o.state, c.name FROM order_state o LEFT JOIN change c ON c.id = o.change_id WHERE o.phase <> 'done'`,
  );
  return [
    ...open.map((row) => `change ${row.name} is still open in ${row.stage}: ${row.waiting_for}`),
    ...orders.map((row) => `a ${row.kind} order of ${row.name} is still ${row.state}`),
  ];
}

/** What orders say came of them is what the machines have installed. Orders are looked at per host, the newest first. */
export async function hostsAreWhereTheirOrdersSay(stack: Pick<Stack, 'rows' | 'host'>): Promise<string[]> {
  const rows = await stack.rows(
    `SELECT e.name AS host, o.id, coalesce(o.reverts, o.id) AS change_order, o.kind, o.state, o.outcome, u.items FROM order_state o JOIN endpoint e ON e.id = o.endpoint_id
       JOIN update_set u ON u.digest = o.content_digest
      WHERE o.kind IN ('change', 'revert') AND o.state IN ('succeeded', 'reverted')
      ORDER BY o.settled_at DESC, o.id`,
  );
  const judged = new Set<string>();
  return rows.flatMap((row) =>
    row.items.flatMap((item: { name: string; from: string; to: string }) => {
      const key = `${row.host} ${item.name}`;
      if (judged.has(key)) return [];
      judged.add(key);
      // What was there before the change came is not its to undo.
      if (row.state === 'reverted' && !movedBy(stack.host(row.host), row.change_order, item.name)) return [];
      const wanted = row.state === 'succeeded' ? item.to : item.from;
      const is = stack.host(row.host).version(item.name);
      return is === wanted || (row.outcome === 'satisfied' && is !== undefined && isNewer(is, wanted))
        ? []
        : [`${row.host}: order ${row.id} is ${row.state}, but ${item.name} is ${is}, not ${wanted}`];
    }),
  );
}

function isNewer(version: string, than: string): boolean {
  const compared = compareDebVersionTexts(version, than);
  return compared.ok && compared.order > 0;
}

function movedBy(host: Host, orderId: string, name: string): boolean {
  return host.effects().some((e) => e.action === 'install' && e.orderId === orderId && e.name === name);
}

async function noViolations(stack: OnRecord): Promise<string[]> {
  const rows = await stack.rows(`SELECT action, subject, detail FROM audit_entry WHERE action LIKE 'violation.%'`);
  const quarantined = await stack.rows(`SELECT name, state_reason FROM endpoint WHERE state = 'quarantined'`);
  return [
    ...rows.map((row) => `${row.subject}: ${row.action} ${JSON.stringify(row.detail)}`),
    ...quarantined.map((row) => `${row.name} is quarantined: ${row.state_reason}`),
  ];
}

async function auditHolds(stack: OnRecord): Promise<string[]> {
  for (let i = 0; ; i++) {
    const { check, unsealed } = await verifyAudit(stack.pool);
    if (!check.ok) return [`the audit chain does not hold: ${JSON.stringify(check)}`];
    if (unsealed === 0) return [];
    if (i === 100) return [`${unsealed} audit entries are not sealed`];
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
