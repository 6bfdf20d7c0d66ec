/**
 * Exposed endpoints by what decides why they are: those of which nothing that counts differs make one group, and one of them is judged
 * for all. A fleet of thousands comes down to some dozens. What is compared here only tells apart; what it means is decided by the
 * rules that judge any endpoint (`domain/why`), so a difference too many costs time and never a wrong count.
 */
import { type ToldApartBy, toldApartBy } from '../../domain/fleet/selector.js';
import type { EpochMs } from '../../domain/time.js';
import { MAX_SKEW_MS, NEXT_POLL_GRACE_MS, SILENT_MS } from '../../domain/why/reasons.js';
import { SELECTABLE_TRAITS } from '../endpoints/selectable.js';
import { loadExceptions } from '../exceptions/exceptions.js';
import { loadGroups, loadPolicies } from '../policy/load.js';
import type { Queryable } from '../pool.js';
import { AT_HAND_FIRST } from '../read/why.js';
import type { ZeroDayRow } from './zero-day.js';

export interface Alike {
  /** One of them. */
  readonly endpointId: string;
  readonly endpoints: number;
}

const at = (parameter: string) => `to_timestamp(${parameter}::float8 / 1000.0)`;

/** $1 zero-day, $2 now, $3 sources, $4 packages, $5 names and ids, $6 patterns of names, $7 ages in ms, $8 patterns of ids; see {@link ToldApartBy}. */
const ALIKE = `
  WITH member AS MATERIALIZED (
    SELECT e.id, ROW(
             ${SELECTABLE_TRAITS}, e.hold_until > ${at('$2')}, e.local_limits,
             EXISTS (SELECT FROM scan s WHERE s.endpoint_id = e.id AND s.complete), abs(e.clock_skew_ms) > ${MAX_SKEW_MS},
             CASE WHEN e.last_seen IS NOT NULL THEN
               greatest(e.last_seen + interval '${SILENT_MS} ms', e.next_poll_at + interval '${NEXT_POLL_GRACE_MS} ms') < ${at('$2')} END,
             CASE WHEN e.name = ANY ($5::text[]) OR e.id::text = ANY ($5::text[]) THEN e.id END,
             ARRAY(SELECT e.name ILIKE p FROM unnest($6::text[]) WITH ORDINALITY AS l (p, n) ORDER BY n),
             ARRAY(SELECT e.id::text ILIKE p FROM unnest($8::text[]) WITH ORDINALITY AS l (p, n) ORDER BY n),
             ARRAY(SELECT extract(epoch FROM now() - e.last_seen) * 1000 > a FROM unnest($7::float8[]) WITH ORDINALITY AS l (a, n) ORDER BY n))::text AS self
      FROM zero_day_endpoint z JOIN endpoint e ON e.id = z.endpoint_id
     WHERE z.zero_day_id = $1 AND z.fixed_at IS NULL AND e.state <> 'retired'),
  at_hand AS MATERIALIZED (
    SELECT DISTINCT ON (pe.endpoint_id) pe.endpoint_id, pe.change_id, pe.ring, pe.skipped_by IS NOT NULL AS skipped, pe.triage
      FROM member m JOIN plan_endpoint pe ON pe.endpoint_id = m.id JOIN change c ON c.id = pe.change_id
     ORDER BY pe.endpoint_id, ${AT_HAND_FIRST}),
  ordered AS MATERIALIZED (
    SELECT DISTINCT ON (o.endpoint_id) o.endpoint_id, o.state, o.permit_until > ${at('$2')} AS permitted,
           coalesce(o.next_open <= ${at('$2')} AND o.next_close > ${at('$2')}, false) AS open, o.straggler_reason IS NOT NULL AS straggles
      FROM at_hand h JOIN order_state o ON o.change_id = h.change_id AND o.endpoint_id = h.endpoint_id AND o.kind = 'change'
     ORDER BY o.endpoint_id, o.attempt DESC),
  taken AS MATERIALIZED (
    SELECT DISTINCT pe.endpoint_id FROM plan_endpoint pe JOIN change c ON c.id = pe.change_id
     WHERE c.zero_day_id = $1 AND c.closed_at IS NULL AND pe.ring IS NOT NULL),
  standing AS MATERIALIZED (
    SELECT i.endpoint_id, string_agg(concat_ws(' ', i.name, i.arch, i.version, i.source, i.source_version, u.candidate), ';'
             ORDER BY i.name, i.arch) AS packages
      FROM installed_package i LEFT JOIN available_update u USING (endpoint_id, name, arch)
     WHERE i.source = ANY ($3) GROUP BY 1),
  named AS MATERIALIZED (SELECT unnest($4::text[]) AS name UNION SELECT name FROM installed_package WHERE source = ANY ($4)),
  wanted AS MATERIALIZED (
    SELECT u.* FROM available_update u WHERE u.name IN (SELECT name FROM named)
    UNION ALL
    SELECT u.* FROM available_update u JOIN update_fact f ON f.endpoint_id = u.endpoint_id AND f.name = u.name AND f.arch = u.arch
           AND f.version = u.candidate
     WHERE u.installed IS NULL AND f.source = ANY ($4) AND u.name NOT IN (SELECT name FROM named)),
  offered AS MATERIALIZED (
    SELECT u.endpoint_id, string_agg(concat_ws(' ', u.name, u.arch, u.candidate, i.source, f.source, f.cves), ';'
             ORDER BY u.name, u.arch) AS updates
      FROM wanted u
      LEFT JOIN installed_package i USING (endpoint_id, name, arch)
      LEFT JOIN update_fact f ON f.endpoint_id = u.endpoint_id AND f.name = u.name AND f.arch = u.arch AND f.version = u.candidate
     GROUP BY 1)
  SELECT min(m.id::text) AS "endpointId", count(*)::int AS endpoints
    FROM member m
    LEFT JOIN at_hand h ON h.endpoint_id = m.id
    LEFT JOIN ordered o ON o.endpoint_id = m.id
    LEFT JOIN order_state b ON b.endpoint_id = m.id AND b.phase = 'holding' AND b.kind IN ('change', 'revert')
          AND b.change_id IS DISTINCT FROM h.change_id
    LEFT JOIN taken t ON t.endpoint_id = m.id
    LEFT JOIN standing p ON p.endpoint_id = m.id
    LEFT JOIN offered u ON u.endpoint_id = m.id
   GROUP BY m.self, h.change_id, h.ring, h.skipped, h.triage, o.state, o.permitted, o.open, o.straggles,
            b.id IS NULL, t.endpoint_id IS NULL, p.packages, u.updates`;

/** In one statement, however many are exposed. */
export async function groupAlike(
  db: Queryable,
  args: { readonly zeroDay: ZeroDayRow; readonly now: EpochMs },
): Promise<readonly Alike[]> {
  const { zeroDay, now } = args;
  const [policies, groups, exceptions] = [await loadPolicies(db), await loadGroups(db), await loadExceptions(db, now)];
  const { texts, namePatterns, idPatterns, agesMs } = toldApartBy(
    [
      ...policies.map((policy) => policy.document.appliesTo),
      ...exceptions.map((exception) => exception.selector),
      ...(zeroDay.scope === null ? [] : [zeroDay.scope]),
    ],
    groups,
  ) satisfies ToldApartBy;
  const { rows } = await db.query<Alike>(ALIKE, [
    zeroDay.id,
    now,
    [...new Set(zeroDay.targets.map((target) => target.source))],
    [...new Set(zeroDay.targets.map((target) => target.name))],
    texts,
    namePatterns.map(asLike),
    agesMs,
    idPatterns.map(asLike),
  ]);
  return rows;
}

/** A pattern of selector text as SQL's. */
const asLike = (pattern: string): string => pattern.replace(/[\\%_]/g, '\\$&').replace(/\*+/g, '%');
