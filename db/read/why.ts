/** What is known of endpoints when somebody asks why they are not patched yet: a fixed number of statements for any number of them. */
import { type Exception, exceptionFor, exceptionsByEndpoint } from '../../domain/exception/exception.js';
import type { Selectable } from '../../domain/fleet/selector.js';
import { communicationOf, silentUntil } from '../../domain/policy/communication.js';
import { frozenNow } from '../../domain/policy/frozen-now.js';
import { nextOpening, readCalendars } from '../../domain/policy/next-opening.js';
import { resolvePolicy } from '../../domain/policy/resolve.js';
import { parseHours, shownZone } from '../../domain/schedule/index.js';
import type { EpochMs } from '../../domain/time.js';
import type { WhyApproval, WhyChange, WhyFacts, WhyOrder, WhyPolicy, WhyUpdate } from '../../domain/why/facts.js';
import { readLimits } from '../../domain/why/limits.js';
import { SELECTABLE_COLUMNS, toSelectable } from '../endpoints/selectable.js';
import { loadExceptions } from '../exceptions/exceptions.js';
import { loadFreezeTexts } from '../orders/windows.js';
import { loadGroups, loadPolicies } from '../policy/load.js';
import type { Queryable } from '../pool.js';

const ms = (date: Date | null): EpochMs | null => date?.getTime() ?? null;

export interface WhyQuery {
  readonly endpointIds: readonly string[];
  /** Left out: the most urgent open change that has the endpoint, else the last that had it. */
  readonly changeId?: string | undefined;
  /** Updates of packages or sources with these names; left out: all. */
  readonly packages?: readonly string[] | undefined;
  /** They are known to have something vulnerable, whatever is on offer. */
  readonly vulnerable?: boolean;
  readonly now: EpochMs;
}

/** The facts of each endpoint that is there, in no order. */
export async function loadWhyFacts(db: Queryable, query: WhyQuery): Promise<WhyFacts[]> {
  const { endpointIds, now } = query;
  const endpoints = await loadEndpoints(db, endpointIds);
  const [updates, changes, holders, policies, groups, exceptions] = [
    await loadUpdates(db, query),
    await loadChanges(db, query),
    await loadHolders(db, query),
    await loadPolicies(db),
    await loadGroups(db),
    await loadExceptions(db, now),
  ];
  const names = [...new Set(policies.flatMap((policy) => policy.document.freezeCalendars))];
  const calendars = readCalendars(names.length === 0 ? new Map() : await loadFreezeTexts(db, names));
  const excepted = exceptionsByEndpoint({ exceptions, endpoints: endpoints.map((row) => row.selectable), groups, now });

  const policyOf = (row: EndpointRow): WhyPolicy => {
    const resolved = resolvePolicy({ endpoint: row.selectable, policies, groups });
    if (resolved.kind === 'none') return resolved;
    const { name, document } = resolved.policy;
    const key = `${resolved.policy.id} ${row.zone}`;
    let known = openings.get(key);
    if (known === undefined) {
      const hours = parseHours(document.hours);
      const zone = hours.ok
        ? shownZone({ spec: hours.value.apply, communicate: hours.value.communicate, zone: row.zone })
        : row.zone;
      const asked = { policy: document, zone: row.zone, calendars, now };
      known = {
        opening: nextOpening({ ...asked, target: 'change' }),
        silentUntil: silentUntil(communicationOf(asked), now),
        frozen: frozenNow(asked),
        zone,
      };
      openings.set(key, known);
    }
    return { kind: 'policy', name, patchApprovals: document.patchApprovals ?? [], ...known };
  };
  const openings = new Map<string, Omit<Extract<WhyPolicy, { kind: 'policy' }>, 'kind' | 'name' | 'patchApprovals'>>();

  return endpoints.map((row): WhyFacts => {
    const found = changes.get(row.id);
    return {
      now,
      endpoint: {
        id: row.id,
        name: row.name,
        zone: row.zone,
        state: row.state,
        stateReason: row.state_reason,
        scanOnly: row.scan_only,
        holdUntil: ms(row.hold_until),
        holdReason: row.hold_reason,
        lastSeen: ms(row.last_seen),
        nextPollAt: ms(row.next_poll_at),
        clockSkewMs: row.clock_skew_ms,
        scannedAt: ms(row.scanned_at),
        incompleteReason: row.incomplete_reason,
        limits: readLimits(row.local_limits),
      },
      policy: policyOf(row),
      updates: (updates.get(row.id) ?? []).map((update) =>
        updateOf({ update, triage: found?.triage ?? [], exceptions: excepted.get(row.id) ?? [] }),
      ),
      vulnerable: query.vulnerable ?? false,
      about: query.packages?.join(', ') ?? null,
      change: found?.change ?? null,
      order: found?.order ?? null,
      holder: holders.get(row.id)?.find((one) => one.changeId !== found?.change.id) ?? null,
    };
  });
}

interface EndpointRow {
  readonly id: string;
  readonly name: string;
  readonly zone: string;
  readonly state: WhyFacts['endpoint']['state'];
  readonly scan_only: boolean;
  readonly state_reason: string | null;
  readonly hold_until: Date | null;
  readonly hold_reason: string | null;
  readonly last_seen: Date | null;
  readonly next_poll_at: Date | null;
  readonly clock_skew_ms: number;
  readonly local_limits: unknown;
  readonly scanned_at: Date | null;
  readonly incomplete_reason: string | null;
  readonly selectable: Selectable;
}

async function loadEndpoints(db: Queryable, ids: readonly string[]): Promise<EndpointRow[]> {
  const { rows } = await db.query<Omit<EndpointRow, 'selectable'> & Record<string, unknown>>(
    `SELECT ${SELECTABLE_COLUMNS}, e.state_reason, e.hold_until, e.hold_reason, e.last_seen, e.next_poll_at, e.clock_skew_ms,
            e.local_limits, done.received_at AS scanned_at,
            CASE WHEN NOT last.complete THEN coalesce(last.incomplete_reason, 'no reason given') END AS incomplete_reason
       FROM endpoint e
       LEFT JOIN LATERAL (SELECT complete, incomplete_reason FROM scan s WHERE s.endpoint_id = e.id
                           ORDER BY received_at DESC LIMIT 1) last ON true
       LEFT JOIN LATERAL (SELECT received_at FROM scan s WHERE s.endpoint_id = e.id AND complete
                           ORDER BY received_at DESC LIMIT 1) done ON true
      WHERE e.id = ANY ($1)`,
    [ids],
  );
  return rows.map((row) => ({ ...row, selectable: toSelectable(row) }));
}

interface UpdateRow {
  readonly endpoint_id: string;
  readonly name: string;
  readonly arch: string;
  readonly installed: string | null;
  readonly candidate: string;
  readonly source: string;
  readonly cves: readonly string[];
}

async function loadUpdates(db: Queryable, query: WhyQuery): Promise<Map<string, UpdateRow[]>> {
  const { rows } = await db.query<UpdateRow>(
    `SELECT u.endpoint_id, u.name, u.arch, u.installed, u.candidate, coalesce(i.source, f.source, u.name) AS source,
            coalesce(f.cves, '{}') AS cves
       FROM available_update u
       LEFT JOIN installed_package i USING (endpoint_id, name, arch)
       LEFT JOIN update_fact f ON f.endpoint_id = u.endpoint_id AND f.name = u.name AND f.arch = u.arch AND f.version = u.candidate
      WHERE u.endpoint_id = ANY ($1) AND ($2::text[] IS NULL OR u.name = ANY ($2) OR coalesce(i.source, f.source) = ANY ($2))
      ORDER BY u.endpoint_id, u.name, u.arch`,
    [query.endpointIds, query.packages ?? null],
  );
  return byEndpoint(rows);
}

interface Triage {
  readonly name: string;
  readonly arch: string;
  readonly outcome: string;
  readonly rule?: string;
  readonly reason?: string;
}

function updateOf(args: {
  readonly update: UpdateRow;
  readonly triage: readonly Triage[];
  readonly exceptions: readonly Exception[];
}): WhyUpdate {
  const { update } = args;
  const { name, arch, installed, candidate } = update;
  const exception = exceptionFor({ update, exceptions: args.exceptions });
  const note = args.triage.find((one) => one.name === name && one.arch === arch && one.outcome !== 'included');
  const leftOut: WhyUpdate['leftOut'] =
    exception !== null
      ? { how: 'excepted', reason: exception.reason, until: exception.expiresAt, by: exception.ownerName }
      : note === undefined
        ? null
        : { how: note.outcome === 'deferred' ? 'deferred' : 'declined', reason: note.reason ?? 'no reason given' };
  return { name, arch, installed, candidate, leftOut };
}

interface ChangeRow {
  readonly endpoint_id: string;
  readonly plan_reason: string | null;
  readonly triage: readonly Triage[];
  readonly skipped_by: string | null;
  readonly id: string;
  readonly name: string;
  readonly priority: number;
  readonly stage: string;
  readonly outcome: string | null;
  readonly waiting_for: string | null;
  readonly halted: boolean;
  readonly halt_verb: string | null;
  readonly halted_by: string | null;
  /** Null: in no ring. */
  readonly ordinal: number | null;
  readonly ring_name: string;
  readonly ring_state: string;
  readonly ring_halted: boolean;
  readonly halt_reason: string | null;
  readonly ring_halted_by: string | null;
  readonly concurrency: number;
  /** Null: it has no order in the change. */
  readonly order_id: string | null;
  readonly order_state: WhyOrder['state'];
  readonly order_reason: string | null;
  readonly next_open: Date | null;
  readonly next_close: Date | null;
  readonly window_reason: string | null;
  readonly permit_until: Date | null;
  readonly straggler_reason: string | null;
  readonly started_at: Date | null;
  readonly settled_at: Date | null;
}

/** Of several changes `c` with plans `pe` of an endpoint, the one at hand comes first. */
export const AT_HAND_FIRST = `(c.closed_at IS NULL) DESC, (c.closed_at IS NULL AND pe.ring IS NOT NULL) DESC,
  CASE WHEN c.closed_at IS NULL THEN c.priority END DESC, c.requested_at DESC, c.id`;

/** The change at hand of each endpoint, with its ring and its last order in it. */
async function loadChanges(
  db: Queryable,
  query: WhyQuery,
): Promise<Map<string, { change: WhyChange; order: WhyOrder | null; triage: readonly Triage[] }>> {
  const { rows } = await db.query<ChangeRow>(
    `WITH at_hand AS MATERIALIZED (
       SELECT DISTINCT ON (pe.endpoint_id) pe.endpoint_id, pe.change_id, pe.ring, pe.reason, pe.skipped_by, pe.triage
         FROM plan_endpoint pe JOIN change c ON c.id = pe.change_id
        WHERE pe.endpoint_id = ANY ($1) AND ($2::uuid IS NULL OR c.id = $2)
        ORDER BY pe.endpoint_id, ${AT_HAND_FIRST})
     SELECT h.endpoint_id, h.reason AS plan_reason, h.triage,
            coalesce((SELECT a.name FROM account a WHERE a.id::text = h.skipped_by), h.skipped_by) AS skipped_by,
            c.id, c.name, c.priority, c.stage, c.outcome, c.waiting_for, c.halted, c.halt_verb,
            coalesce((SELECT a.name FROM account a WHERE a.id::text = c.halted_by), c.halted_by) AS halted_by,
            r.ordinal, r.name AS ring_name, r.state AS ring_state, r.halted AS ring_halted, r.halt_reason,
            coalesce((SELECT a.name FROM account a WHERE a.id::text = r.halted_by), r.halted_by) AS ring_halted_by, r.concurrency,
            o.id AS order_id, o.state AS order_state, o.reason AS order_reason, o.next_open, o.next_close, o.window_reason,
            o.permit_until, o.straggler_reason, o.started_at, o.settled_at
       FROM at_hand h JOIN change c ON c.id = h.change_id
       LEFT JOIN ring r ON r.change_id = h.change_id AND r.ordinal = h.ring
       LEFT JOIN LATERAL (SELECT * FROM order_state o WHERE o.change_id = h.change_id AND o.endpoint_id = h.endpoint_id
                             AND o.kind = 'change' ORDER BY o.attempt DESC LIMIT 1) o ON true`,
    [query.endpointIds, query.changeId ?? null],
  );
  const ids = [...new Set(rows.map((row) => row.id))];
  const [approvals, earlier] = [await loadApprovals(db, ids), await loadEarlier(db, ids)];
  return new Map(
    rows.map((row) => {
      const { ordinal } = row;
      const ring = ordinal === null ? null : `${row.id}/${ordinal}`;
      const change: WhyChange = {
        id: row.id,
        name: row.name,
        priority: row.priority,
        stage: row.stage,
        outcome: row.outcome,
        waitingFor: row.waiting_for,
        halted: row.halted,
        haltVerb: row.halt_verb,
        haltedBy: row.halted_by,
        planReason: row.plan_reason,
        skippedBy: row.skipped_by,
        ring:
          ring === null || ordinal === null
            ? null
            : {
                ordinal,
                name: row.ring_name,
                state: row.ring_state,
                halted: row.ring_halted,
                haltReason: row.halt_reason,
                haltedBy: row.ring_halted_by,
                concurrency: row.concurrency,
                approvals: approvals.get(ring) ?? [],
                earlier: earlier.get(row.id)?.find((one) => one.ordinal < ordinal) ?? null,
              },
      };
      const order: WhyOrder | null =
        row.order_id === null
          ? null
          : {
              id: row.order_id,
              state: row.order_state,
              reason: row.order_reason,
              nextOpen: ms(row.next_open),
              nextClose: ms(row.next_close),
              windowReason: row.window_reason,
              permitUntil: ms(row.permit_until),
              stragglerReason: row.straggler_reason,
              startedAt: ms(row.started_at),
              settledAt: ms(row.settled_at),
            };
      return [row.endpoint_id, { change, order, triage: row.triage }];
    }),
  );
}

/** Open requests by `change/ring`, the oldest first. */
async function loadApprovals(db: Queryable, changeIds: readonly string[]): Promise<Map<string, WhyApproval[]>> {
  const { rows } = await db.query<{
    change_id: string;
    ring: number;
    opened_at: Date;
    expires_at: Date;
    people: string[];
  }>(
    `SELECT r.change_id, r.ring, r.opened_at, r.expires_at,
            ARRAY(SELECT a.name FROM approval_person p JOIN account a ON a.id = p.account_id
                   WHERE p.request_id = r.id AND a.disabled_at IS NULL
                     AND NOT EXISTS (SELECT FROM approval_decision d WHERE d.request_id = r.id AND d.account_id = a.id AND d.state = 'counted')
                   ORDER BY a.name) AS people
       FROM approval_request r WHERE r.change_id = ANY ($1) AND r.state = 'open' ORDER BY r.opened_at, r.id`,
    [changeIds],
  );
  const found = new Map<string, WhyApproval[]>();
  for (const row of rows) {
    const key = `${row.change_id}/${row.ring}`;
    const one = { people: row.people, since: row.opened_at.getTime(), expiresAt: row.expires_at.getTime() };
    found.set(key, [...(found.get(key) ?? []), one]);
  }
  return found;
}

/** Rings that hold endpoints and have not passed, in their order. */
async function loadEarlier(db: Queryable, changeIds: readonly string[]) {
  const { rows } = await db.query<{ change_id: string; ordinal: number; name: string; state: string; halted: boolean }>(
    `SELECT r.change_id, r.ordinal, r.name, r.state, r.halted FROM ring r
      WHERE r.change_id = ANY ($1) AND r.state NOT IN ('passed', 'rolledBack', 'aborted')
        AND EXISTS (SELECT FROM plan_endpoint pe WHERE pe.change_id = r.change_id AND pe.ring = r.ordinal)
      ORDER BY r.change_id, r.ordinal`,
    [changeIds],
  );
  const found = new Map<string, (typeof rows)[number][]>();
  for (const row of rows) found.set(row.change_id, [...(found.get(row.change_id) ?? []), row]);
  return found;
}

/** Mutating orders that hold these endpoints. */
async function loadHolders(db: Queryable, query: WhyQuery) {
  const { rows } = await db.query(
    `SELECT o.endpoint_id, o.change_id AS "changeId", c.name AS change, o.priority, o.state
       FROM order_state o JOIN change c ON c.id = o.change_id
      WHERE o.endpoint_id = ANY ($1) AND o.phase = 'holding' AND o.kind IN ('change', 'revert')`,
    [query.endpointIds],
  );
  return byEndpoint(rows as (NonNullable<WhyFacts['holder']> & { endpoint_id: string })[]);
}

function byEndpoint<R extends { readonly endpoint_id: string }>(rows: readonly R[]): Map<string, R[]> {
  const found = new Map<string, R[]>();
  for (const row of rows) {
    const list = found.get(row.endpoint_id);
    if (list === undefined) found.set(row.endpoint_id, [row]);
    else list.push(row);
  }
  return found;
}
