/** Which scan confirms what an order did: an inventory of packages, or the scanner's answer about exactly the rules that were put right. */
import { OPENSCAP } from '../../domain/baseline/rule-name.js';

/** What a scan was of. */
export type ScanOf = 'packages' | 'rules';

/**
 * SQL, for LATERAL: the first scan after an order settled that can confirm it, as `id` (of rules: its scan order's), `received_at`, `scan_of` and
 * `proven` (null: the updates themselves say). No row: there is none yet.
 * @param order alias of the order; it has change_id, endpoint_id and settled_at
 * @param provider SQL of who was to carry it out
 */
export const confirmingScan = (order: string, provider: string): string => `
  (SELECT s.id, s.received_at, 'packages' AS scan_of, NULL::boolean AS proven FROM scan s
    WHERE ${provider} IS DISTINCT FROM '${OPENSCAP}' AND s.endpoint_id = ${order}.endpoint_id AND s.complete AND s.received_at > ${order}.settled_at
    ORDER BY s.received_at LIMIT 1)
  UNION ALL
  SELECT p.order_id, p.answered_at, 'rules', (SELECT bool_and(r.value IN ('pass', 'fixed')) FROM jsonb_each_text(p.results) r) FROM rule_proof p
   WHERE ${provider} = '${OPENSCAP}' AND p.change_id = ${order}.change_id AND p.endpoint_id = ${order}.endpoint_id AND p.answered_at > ${order}.settled_at`;
