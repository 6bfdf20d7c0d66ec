-- Work that a change makes is that change's own: another change that fails on the same endpoint is other work, judged by other rules. And work
-- says which scan ended it, if one did (docs/tickets.md, "Work for people").

ALTER TABLE work_item ADD COLUMN proven_by uuid; -- the scan that ended it; null: it is open, or ended otherwise
COMMENT ON COLUMN work_item.key IS '<kind>/<endpoint>/<change>; of drift <kind>/<endpoint>/<rule or thing>';

UPDATE work_item SET proven_by = judged_scan WHERE closed_at IS NOT NULL AND closed_reason LIKE 'proven by scan %';
-- Success that no scan shows: what ends it counts as the change's confirmation.
UPDATE work_item SET evidence = evidence || jsonb_build_object('unproven', CASE WHEN reason LIKE '%no scan since' THEN 'unscanned' ELSE 'missing' END)
 WHERE kind = 'failedEndpoint'
   AND reason IN ('reported success, but the scan after it does not show it', 'reported success, but has sent no scan since');

-- One row was open per endpoint and kind, so one is open per endpoint, kind and change.
UPDATE work_item SET key = kind || '/' || endpoint_id || '/' || change_id WHERE kind <> 'drift' AND change_id IS NOT NULL;

-- A worker of the release before still says '<kind>/<endpoint>'. To be dropped with the release after this one.
CREATE FUNCTION work_key() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  NEW.key := NEW.kind || '/' || NEW.endpoint_id || '/' || NEW.change_id;
  RETURN NEW;
END $$;
CREATE TRIGGER work_key BEFORE INSERT ON work_item FOR EACH ROW
  WHEN (NEW.kind <> 'drift' AND NEW.change_id IS NOT NULL AND NEW.key = NEW.kind || '/' || NEW.endpoint_id) EXECUTE FUNCTION work_key();

CREATE OR REPLACE FUNCTION work_of_order() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  what text := CASE WHEN NEW.state = 'expired' THEN 'straggler' ELSE 'failedEndpoint' END;
BEGIN
  INSERT INTO work_item AS w (key, kind, endpoint_id, change_id, reason, evidence)
  VALUES (what || '/' || NEW.endpoint_id || '/' || NEW.change_id, what, NEW.endpoint_id, NEW.change_id,
          coalesce(NEW.reason, NEW.straggler_reason, NEW.window_reason, NEW.state),
          jsonb_build_object('orderId', NEW.id, 'state', NEW.state, 'kind', NEW.kind, 'attempt', NEW.attempt, 'ring', NEW.home_ring))
  ON CONFLICT (key) WHERE closed_at IS NULL DO UPDATE
    SET seen = w.seen + 1, last_seen_at = clock_timestamp(), reason = excluded.reason, evidence = excluded.evidence;
  RETURN NULL;
END $$;

-- Work that a later change took over from one whose ticket still waits for it comes back; the newest scan judges it at once.
INSERT INTO work_item (key, kind, endpoint_id, change_id, reason, evidence, opened_at, last_seen_at)
SELECT l.kind || '/' || l.endpoint_id || '/' || l.change_id, l.kind, l.endpoint_id, l.change_id, l.reason, l.evidence, l.settled_at, l.settled_at
  FROM (SELECT DISTINCT ON (o.change_id, o.endpoint_id) o.change_id, o.endpoint_id, o.state, coalesce(o.settled_at, c.closed_at) AS settled_at,
               CASE WHEN o.state = 'expired' THEN 'straggler' ELSE 'failedEndpoint' END AS kind,
               coalesce(o.reason, o.straggler_reason, o.window_reason, o.state) AS reason,
               jsonb_build_object('orderId', o.id, 'state', o.state, 'kind', o.kind, 'attempt', o.attempt, 'ring', o.home_ring) AS evidence
          FROM change c JOIN order_state o ON o.change_id = c.id
         WHERE c.outcome = 'completedWithFailures' AND o.kind = 'change'
           AND EXISTS (SELECT FROM ticket t WHERE t.change_id = c.id AND t.wanted = 'open')
         ORDER BY o.change_id, o.endpoint_id, o.attempt DESC) l
 WHERE l.state IN ('failed', 'reverted', 'revertFailed', 'expired')
   AND NOT EXISTS (SELECT FROM work_item w WHERE w.change_id = l.change_id AND w.endpoint_id = l.endpoint_id AND w.kind = l.kind);

REVOKE ALL ON FUNCTION work_key() FROM PUBLIC;
