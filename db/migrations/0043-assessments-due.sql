-- When each target is due next, kept with it, so that whoever looks every second reads what is due and nothing else.

ALTER TABLE assessment_target
  ADD COLUMN due_at timestamptz NOT NULL DEFAULT now(),  -- asked for: -infinity; else when its time is over, or something worked on the endpoint
  ADD COLUMN able boolean NOT NULL DEFAULT false;        -- the endpoint is active and has the scanner, as resolved
UPDATE assessment_target t
   SET order_id = (SELECT o.id FROM order_state o WHERE o.id = t.order_id AND o.phase <> 'done'),
       able = e.state = 'active' AND coalesce(e.agent -> 'providers' ? 'openscap', false),
       due_at = CASE WHEN t.wanted_at IS NULL
                     THEN coalesce(greatest(t.ordered_at, (SELECT greatest(a.assessed_at, a.problem_at) FROM assessment a
                                                            WHERE a.endpoint_id = t.endpoint_id AND a.checklist_id = t.checklist_id))
                                   + t.every_minutes * interval '1 minute', now())
                     ELSE '-infinity' END
  FROM endpoint e WHERE e.id = t.endpoint_id;
DROP INDEX assessment_target_wanted;
CREATE INDEX assessment_target_due ON assessment_target (due_at) WHERE able AND order_id IS NULL;

-- Orders that ended where a baseline holds, until a worker has looked at it: what worked on the endpoint makes it due, a scan order that
-- ended without an answer makes room for the next. Rows of their own, so that no report ever waits for a target.
CREATE TABLE assessment_news (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  endpoint_id uuid NOT NULL REFERENCES endpoint,
  scan_order uuid,                               -- null: an order changed the endpoint
  expired boolean NOT NULL,                      -- the scan order was never fetched
  at timestamptz NOT NULL
);

CREATE FUNCTION assessment_news() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  INSERT INTO assessment_news (endpoint_id, scan_order, expired, at)
  SELECT NEW.endpoint_id, CASE WHEN NEW.kind = 'scan' THEN NEW.id END, NEW.state = 'expired', coalesce(NEW.settled_at, now())
   WHERE EXISTS (SELECT FROM assessment_target t WHERE t.endpoint_id = NEW.endpoint_id AND (NEW.kind <> 'scan' OR t.order_id = NEW.id));
  RETURN NULL;
END $$;
CREATE TRIGGER assessment_news AFTER UPDATE OF state ON order_state FOR EACH ROW
  WHEN (NEW.phase = 'done' AND OLD.phase <> 'done'
        AND (NEW.kind = 'scan' AND NEW.change_id IS NULL OR NEW.kind IN ('change', 'revert') AND NEW.started_at IS NOT NULL))
  EXECUTE FUNCTION assessment_news();

REVOKE ALL ON FUNCTION assessment_news() FROM PUBLIC;
GRANT SELECT, UPDATE, DELETE ON assessment_news TO ringmaster_worker;
GRANT UPDATE (due_at) ON assessment_target TO ringmaster_api;
