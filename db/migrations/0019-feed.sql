-- What people watch as it happens (docs/events.md): one row per thing worth telling, written by triggers so that no writer
-- can forget it. Order: (xid, id). A reader goes no further than the oldest transaction still running, so that a row which
-- commits late is never passed over. Counts of orders are not told one by one; they are read.

CREATE TABLE feed_event (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  type text NOT NULL,                            -- domain/feed.ts
  change_id uuid,
  data jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX feed_event_place ON feed_event (xid, id);
CREATE INDEX feed_event_change ON feed_event (change_id, xid, id) WHERE change_id IS NOT NULL;

-- Up to where rows were thrown away: whoever has read less is told to start afresh.
CREATE TABLE feed_pruned (
  one_row boolean PRIMARY KEY DEFAULT true CHECK (one_row),
  xid xid8 NOT NULL DEFAULT '0',
  id bigint NOT NULL DEFAULT 0
);
INSERT INTO feed_pruned DEFAULT VALUES;

CREATE FUNCTION feed(type text, change_id uuid, data jsonb) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
  INSERT INTO feed_event (type, change_id, data) VALUES ($1, $2, jsonb_strip_nulls($3));
  SELECT pg_notify('rm_feed', '');
$$;

CREATE FUNCTION feed_change() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    PERFORM feed('change.requested', NEW.id, jsonb_build_object('name', NEW.name, 'kind', NEW.kind, 'priority', NEW.priority));
    RETURN NULL;
  END IF;
  IF NEW.halted AND (NOT OLD.halted OR NEW.halt_verb IS DISTINCT FROM OLD.halt_verb) THEN
    PERFORM feed('change.halted', NEW.id, jsonb_build_object('name', NEW.name, 'verb', NEW.halt_verb, 'by', NEW.halted_by));
  ELSIF OLD.halted AND NOT NEW.halted THEN
    PERFORM feed('change.resumed', NEW.id, jsonb_build_object('name', NEW.name));
  END IF;
  IF NEW.closed_at IS NOT NULL AND OLD.closed_at IS NULL THEN
    PERFORM feed('change.closed', NEW.id, jsonb_build_object('name', NEW.name, 'outcome', NEW.outcome));
  ELSIF NEW.stage <> OLD.stage OR NEW.waiting_for IS DISTINCT FROM OLD.waiting_for THEN
    PERFORM feed('change.stage', NEW.id,
                 jsonb_build_object('name', NEW.name, 'stage', NEW.stage, 'waitingFor', left(NEW.waiting_for, 500)));
  END IF;
  IF NEW.plan_digest IS DISTINCT FROM OLD.plan_digest THEN
    PERFORM feed('change.planned', NEW.id, jsonb_build_object('planDigest', NEW.plan_digest, 'revision', NEW.plan_revision));
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER feed_requested AFTER INSERT ON change FOR EACH ROW EXECUTE FUNCTION feed_change();
CREATE TRIGGER feed_change AFTER UPDATE ON change FOR EACH ROW
  WHEN ((OLD.stage, OLD.waiting_for, OLD.halted, OLD.halt_verb, OLD.closed_at, OLD.plan_digest)
        IS DISTINCT FROM (NEW.stage, NEW.waiting_for, NEW.halted, NEW.halt_verb, NEW.closed_at, NEW.plan_digest))
  EXECUTE FUNCTION feed_change();

CREATE FUNCTION feed_ring() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  IF NEW.halted AND NOT OLD.halted THEN
    PERFORM feed('ring.halted', NEW.change_id, jsonb_build_object('ring', NEW.ordinal, 'name', NEW.name,
                 'reason', left(NEW.halt_reason, 500), 'by', NEW.halted_by));
  ELSIF OLD.halted AND NOT NEW.halted THEN
    PERFORM feed('ring.resumed', NEW.change_id, jsonb_build_object('ring', NEW.ordinal, 'name', NEW.name));
  END IF;
  IF NEW.state <> OLD.state THEN
    PERFORM feed('ring.state', NEW.change_id,
                 jsonb_build_object('ring', NEW.ordinal, 'name', NEW.name, 'from', OLD.state, 'state', NEW.state));
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER feed_ring AFTER UPDATE ON ring FOR EACH ROW
  WHEN (OLD.state <> NEW.state OR OLD.halted <> NEW.halted) EXECUTE FUNCTION feed_ring();

CREATE FUNCTION feed_order() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  PERFORM feed('order.failed', NEW.change_id, jsonb_build_object('orderId', NEW.id, 'endpointId', NEW.endpoint_id,
               'endpoint', (SELECT name FROM endpoint WHERE id = NEW.endpoint_id), 'ring', NEW.ring, 'kind', NEW.kind,
               'state', NEW.state, 'reason', left(NEW.reason, 500)));
  RETURN NULL;
END $$;
CREATE TRIGGER feed_order AFTER UPDATE OF state ON order_state FOR EACH ROW
  WHEN (NEW.state IN ('failed', 'stalled', 'reverting', 'reverted', 'revertFailed') AND NEW.state <> OLD.state
        AND NEW.change_id IS NOT NULL AND NOT (NEW.kind = 'revert' AND NEW.state IN ('reverting', 'reverted')))
  EXECUTE FUNCTION feed_order();

CREATE FUNCTION feed_approval() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  PERFORM feed(CASE WHEN TG_OP = 'INSERT' THEN 'approval.opened' ELSE 'approval.closed' END, NEW.change_id,
               jsonb_build_object('approvalId', NEW.id, 'ring', NEW.ring, 'state', NEW.state, 'expiresAt', NEW.expires_at));
  RETURN NULL;
END $$;
CREATE TRIGGER feed_approval_opened AFTER INSERT ON approval_request FOR EACH ROW EXECUTE FUNCTION feed_approval();
CREATE TRIGGER feed_approval_closed AFTER UPDATE OF state ON approval_request FOR EACH ROW
  WHEN (OLD.state <> NEW.state) EXECUTE FUNCTION feed_approval();

CREATE FUNCTION feed_decision() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  PERFORM feed('approval.decided', r.change_id, jsonb_build_object('approvalId', r.id, 'ring', r.ring,
               'decision', NEW.decision, 'by', (SELECT name FROM account WHERE id = NEW.account_id)))
     FROM approval_request r WHERE r.id = NEW.request_id;
  RETURN NULL;
END $$;
CREATE TRIGGER feed_decision AFTER UPDATE OF state ON approval_decision FOR EACH ROW
  WHEN (NEW.state = 'counted' AND OLD.state <> 'counted') EXECUTE FUNCTION feed_decision();

CREATE FUNCTION feed_endpoint() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  PERFORM feed(CASE WHEN TG_OP = 'INSERT' THEN 'endpoint.enrolled' ELSE 'endpoint.state' END, NULL,
               jsonb_build_object('endpointId', NEW.id, 'name', NEW.name, 'state', NEW.state,
                                  'reason', left(NEW.state_reason, 500), 'simulated', NEW.simulated));
  RETURN NULL;
END $$;
CREATE TRIGGER feed_enrolled AFTER INSERT ON endpoint FOR EACH ROW EXECUTE FUNCTION feed_endpoint();
CREATE TRIGGER feed_endpoint AFTER UPDATE OF state ON endpoint FOR EACH ROW
  WHEN (OLD.state <> NEW.state) EXECUTE FUNCTION feed_endpoint();

-- Forgets what is older than given, and remembers up to where. Returns how many rows went.
CREATE FUNCTION prune_feed(before timestamptz) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  last_xid xid8;
  last_id bigint;
  gone bigint;
BEGIN
  SELECT xid, id INTO last_xid, last_id FROM feed_event WHERE at < before ORDER BY xid DESC, id DESC LIMIT 1;
  IF NOT FOUND THEN RETURN 0; END IF;
  UPDATE feed_pruned SET xid = last_xid, id = last_id WHERE (xid, id) < (last_xid, last_id);
  DELETE FROM feed_event f WHERE (f.xid, f.id) <= (last_xid, last_id);
  GET DIAGNOSTICS gone = ROW_COUNT;
  RETURN gone;
END $$;

-- Only triggers write it: what nobody can call by name, nobody can forge.
REVOKE ALL ON FUNCTION feed(text, uuid, jsonb), feed_change(), feed_ring(), feed_order(), feed_approval(), feed_decision(),
  feed_endpoint(), prune_feed(timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION prune_feed(timestamptz) TO ringmaster_api, ringmaster_worker;
GRANT SELECT ON feed_event, feed_pruned TO ringmaster_api, ringmaster_worker;
