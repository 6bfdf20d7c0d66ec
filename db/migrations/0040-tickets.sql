-- Tickets (docs/tickets.md): systems people work in, what is to be told there, and what was heard from there. What is told is
-- written by triggers, in the transaction it tells of, so that no writer can forget it; a worker delivers it.

CREATE TABLE ticket_system (
  id uuid PRIMARY KEY,
  name text NOT NULL,
  provider text NOT NULL,                        -- registry of adapters/tickets: 'request-tracker', 'webhook'
  settings jsonb NOT NULL,                       -- of the provider: address, queue, fields; never a secret
  policy jsonb NOT NULL,                         -- domain/ticket/policy.ts
  secret text,                                   -- sealed for the worker (domain/ticket/sealed-secret.ts): the web tier can write it, not read it
  has_secret boolean GENERATED ALWAYS AS (secret IS NOT NULL) STORED,
  hook_secret text,                              -- of events coming in, encrypted with the web tier's key
  hook_secret_before text,                       -- still good until the time below, so that a change of secrets loses nothing
  hook_secret_before_until timestamptz,
  active boolean NOT NULL DEFAULT true,          -- off: what is to be told waits
  version int NOT NULL DEFAULT 1,
  created_by text NOT NULL,
  created_at timestamptz NOT NULL,
  retired_at timestamptz
);
CREATE UNIQUE INDEX ticket_system_name ON ticket_system (name) WHERE retired_at IS NULL;

-- How a system has been doing; the worker's.
CREATE TABLE ticket_system_state (
  system_id uuid PRIMARY KEY REFERENCES ticket_system,
  checked_version int,                           -- the version last found in order, or not
  checked_at timestamptz,
  problem text,                                  -- what is wrong with it: a missing field, a refused password; null: nothing
  failures int NOT NULL DEFAULT 0,               -- in a row
  failing_since timestamptz,
  last_error text,
  paused_until timestamptz,                      -- while it is away it is tried now and then, not by every row
  heard_until timestamptz                        -- what people did there is known up to here
);

-- What people must do: a failed endpoint, a straggler past due, critical drift. One row is open per key; again is counted.
CREATE TABLE work_item (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  key text NOT NULL,                             -- '<kind>/<endpoint>', for drift '/<rule>' after it
  kind text NOT NULL CHECK (kind IN ('failedEndpoint', 'straggler', 'drift')),
  endpoint_id uuid NOT NULL REFERENCES endpoint,
  change_id uuid REFERENCES change,              -- the change it was last seen in; null: outside any
  reason text NOT NULL,
  evidence jsonb NOT NULL DEFAULT '{}',
  seen int NOT NULL DEFAULT 1,
  told int NOT NULL DEFAULT 0,                   -- of these, how many its ticket has been told
  state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'claimed', 'closed')), -- claimed: somebody says it is done
  opened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  last_seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  claimed_at timestamptz,
  claimed_by text,
  rescan_due_at timestamptz,                     -- a scan must have judged the claim by then
  judged_scan uuid,                              -- the scan it was last judged by
  closed_at timestamptz,
  closed_reason text
);
CREATE UNIQUE INDEX work_item_once ON work_item (key) WHERE closed_at IS NULL;
CREATE INDEX work_item_open ON work_item (endpoint_id) WHERE closed_at IS NULL;
CREATE INDEX work_item_newest ON work_item (opened_at DESC, id DESC);
CREATE INDEX work_item_change ON work_item (change_id);

CREATE TABLE ticket (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  system_id uuid NOT NULL REFERENCES ticket_system,
  key text NOT NULL,                             -- 'change/<id>', 'work/<id>': what the ticket is found by in its system
  change_id uuid REFERENCES change,
  work_item_id uuid REFERENCES work_item,
  ref text,                                      -- its number there; null: not opened yet
  url text,
  state text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'open', 'working', 'done', 'cancelled')), -- as last seen there
  wanted text NOT NULL DEFAULT 'open' CHECK (wanted IN ('open', 'done', 'cancelled')),                      -- as we last set it
  attention text CHECK (attention IN ('closedByHand', 'reopenedByHand')), -- it is not as we set it
  attention_by text,
  attention_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  opened_at timestamptz,
  UNIQUE (system_id, key)
);
CREATE INDEX ticket_change ON ticket (change_id) WHERE change_id IS NOT NULL;
CREATE INDEX ticket_work ON ticket (work_item_id) WHERE work_item_id IS NOT NULL;
CREATE INDEX ticket_ref ON ticket (system_id, ref);
CREATE INDEX ticket_open ON ticket (change_id) WHERE wanted = 'open' AND change_id IS NOT NULL;
CREATE INDEX ticket_attention ON ticket (attention_at) WHERE attention IS NOT NULL;

-- What is to be done in a ticket, in order of id. Delivered at least once, with its key, by which the provider tells what is done already.
CREATE TABLE ticket_action (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  ticket_id uuid NOT NULL REFERENCES ticket,
  key text NOT NULL,                             -- the same in every system that is told of it
  kind text NOT NULL CHECK (kind IN ('open', 'comment', 'transition', 'link')),
  payload jsonb NOT NULL DEFAULT '{}',           -- what happened; its words are made when it is delivered
  priority smallint NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  attempts int NOT NULL DEFAULT 0,
  next_attempt_at timestamptz NOT NULL DEFAULT '-infinity',
  leased_until timestamptz,                      -- a worker is at it
  last_error text,
  done_at timestamptz,
  result jsonb,
  UNIQUE (ticket_id, key)
);
CREATE INDEX ticket_action_due ON ticket_action (ticket_id, id) WHERE done_at IS NULL;

-- What people did in tickets, as heard; handled once.
CREATE TABLE ticket_event (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  system_id uuid NOT NULL REFERENCES ticket_system,
  external_id text NOT NULL,                     -- the tracker's own, so that hearing it twice is hearing it once
  ticket_key text,
  ticket_ref text,
  type text NOT NULL CHECK (type IN ('comment', 'state')),
  author text,                                   -- who it is there; null: nobody can tell
  vouched boolean NOT NULL DEFAULT false,        -- the tracker itself knows the author: signed in there, not a mail's From line
  state text CHECK (state IN ('open', 'working', 'done', 'cancelled')),
  text text,
  at timestamptz NOT NULL,
  received_at timestamptz NOT NULL,
  handled_at timestamptz,
  result text,
  UNIQUE (system_id, external_id)
);
CREATE INDEX ticket_event_new ON ticket_event (id) WHERE handled_at IS NULL;

-- A decision that was made in a ticket: the event it was read from. Written by the worker alone, and needed for it to count.
ALTER TABLE approval_decision DROP CONSTRAINT approval_decision_proof_check,
  ADD CONSTRAINT approval_decision_proof_check CHECK (proof IN ('session', 'code', 'ticket'));
CREATE TABLE ticket_decision (
  decision_id uuid PRIMARY KEY REFERENCES approval_decision,
  event_id bigint NOT NULL REFERENCES ticket_event -- one comment may answer several requests of one plan
);

-- Something to tell in every ticket of a change, in the caller's transaction. Costs one look at an index where there is none.
CREATE FUNCTION ticket_tell(change_id uuid, what text, payload jsonb) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
  WITH told AS (
    INSERT INTO ticket_action (ticket_id, key, kind, payload, priority)
    SELECT t.id, t.key || '/' || $2 || '/' || pg_current_xact_id(), 'comment',
           jsonb_strip_nulls($3) || jsonb_build_object('what', $2, 'at', (extract(epoch FROM clock_timestamp()) * 1000)::bigint), c.priority
      FROM ticket t JOIN change c ON c.id = t.change_id JOIN ticket_system s ON s.id = t.system_id
     WHERE t.change_id = $1 AND s.retired_at IS NULL
    ON CONFLICT (ticket_id, key) DO NOTHING RETURNING 1)
  SELECT pg_notify('rm_tickets', '') FROM told LIMIT 1;
$$;

-- Tickets for a change where its kind is to have one; a change that has them keeps them.
CREATE FUNCTION ticket_open(change_id uuid) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
  WITH made AS (
    INSERT INTO ticket (system_id, key, change_id)
    SELECT s.id, 'change/' || c.id, c.id FROM change c CROSS JOIN ticket_system s
     WHERE c.id = $1 AND s.active AND s.retired_at IS NULL AND s.policy->>'changes' = 'true'
       AND (s.policy->'kinds' IS NULL OR s.policy->'kinds' = 'null' OR s.policy->'kinds' ? c.kind)
    ON CONFLICT (system_id, key) DO NOTHING RETURNING id, key),
  told AS (
    INSERT INTO ticket_action (ticket_id, key, kind, priority)
    SELECT made.id, made.key || '/open', 'open', c.priority FROM made JOIN change c ON c.id = $1 RETURNING 1)
  SELECT pg_notify('rm_tickets', '') FROM told LIMIT 1;
$$;

-- What a change that has closed wants of its tickets: done when scans confirmed it, cancelled when nothing is left to confirm.
-- Anything else stays open: a person must look at it.
CREATE FUNCTION ticket_close(change_id uuid, outcome text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
  WITH ends AS (
    SELECT CASE WHEN $2 = 'completed' THEN 'done' WHEN $2 IN ('rolledBack', 'aborted', 'nothingToDo') THEN 'cancelled' END AS state),
  wanted AS (
    UPDATE ticket t SET wanted = ends.state FROM ends, ticket_system s
     WHERE t.change_id = $1 AND t.work_item_id IS NULL AND s.id = t.system_id AND s.retired_at IS NULL AND ends.state IS NOT NULL
    RETURNING t.id, t.key, ends.state)
  INSERT INTO ticket_action (ticket_id, key, kind, payload, priority)
  SELECT w.id, w.key || '/close/' || pg_current_xact_id(), 'transition', jsonb_build_object('to', w.state), c.priority
    FROM wanted w JOIN change c ON c.id = $1 ON CONFLICT (ticket_id, key) DO NOTHING;
$$;

CREATE FUNCTION ticket_change() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  IF NEW.plan_digest IS DISTINCT FROM OLD.plan_digest THEN
    IF OLD.plan_digest IS NULL THEN
      PERFORM ticket_open(NEW.id);
    ELSE
      PERFORM ticket_tell(NEW.id, 'replanned', jsonb_build_object('planDigest', NEW.plan_digest, 'revision', NEW.plan_revision));
    END IF;
  END IF;
  IF NEW.halted AND (NOT OLD.halted OR NEW.halt_verb IS DISTINCT FROM OLD.halt_verb) THEN
    PERFORM ticket_tell(NEW.id, 'halted', jsonb_build_object('verb', NEW.halt_verb, 'by', NEW.halted_by));
  ELSIF OLD.halted AND NOT NEW.halted THEN
    PERFORM ticket_tell(NEW.id, 'resumed', '{}');
  END IF;
  IF NEW.closed_at IS NOT NULL AND OLD.closed_at IS NULL THEN
    -- One that failed before it had a plan still needs somebody to look at it.
    IF NEW.outcome IN ('failed', 'expired', 'completedWithFailures') THEN PERFORM ticket_open(NEW.id); END IF;
    PERFORM ticket_tell(NEW.id, 'closed', jsonb_build_object('outcome', NEW.outcome));
    PERFORM ticket_close(NEW.id, NEW.outcome);
  ELSIF NEW.stage <> OLD.stage THEN
    PERFORM ticket_tell(NEW.id, 'stage', jsonb_build_object('stage', NEW.stage, 'waitingFor', left(NEW.waiting_for, 500)));
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER ticket_change AFTER UPDATE ON change FOR EACH ROW
  WHEN ((OLD.stage, OLD.halted, OLD.halt_verb, OLD.closed_at, OLD.plan_digest)
        IS DISTINCT FROM (NEW.stage, NEW.halted, NEW.halt_verb, NEW.closed_at, NEW.plan_digest))
  EXECUTE FUNCTION ticket_change();

CREATE FUNCTION ticket_ring() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  -- A change that is halted as a whole has said so once, for all its rings.
  IF NEW.state = OLD.state AND EXISTS (SELECT FROM change WHERE id = NEW.change_id AND halted) THEN RETURN NULL; END IF;
  PERFORM ticket_tell(NEW.change_id, 'ring/' || NEW.ordinal, jsonb_build_object('ring', NEW.ordinal, 'name', NEW.name, 'state', NEW.state,
                      'halted', NEW.halted, 'reason', CASE WHEN NEW.halted THEN left(NEW.halt_reason, 500) END,
                      'by', CASE WHEN NEW.halted THEN NEW.halted_by END));
  RETURN NULL;
END $$;
CREATE TRIGGER ticket_ring AFTER UPDATE ON ring FOR EACH ROW
  WHEN (NEW.ordinal < 1000 AND (OLD.state <> NEW.state OR (NEW.halted AND NOT OLD.halted)))
  EXECUTE FUNCTION ticket_ring();

CREATE FUNCTION ticket_approval() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  PERFORM ticket_tell(NEW.change_id, 'approval/' || NEW.id || '/' || NEW.state,
                      jsonb_build_object('request', NEW.id, 'ring', NEW.ring, 'state', NEW.state, 'planDigest', NEW.plan_digest));
  RETURN NULL;
END $$;
CREATE TRIGGER ticket_approval_opened AFTER INSERT ON approval_request FOR EACH ROW EXECUTE FUNCTION ticket_approval();
CREATE TRIGGER ticket_approval_closed AFTER UPDATE OF state ON approval_request FOR EACH ROW
  WHEN (OLD.state <> NEW.state) EXECUTE FUNCTION ticket_approval();

CREATE FUNCTION ticket_decision() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  PERFORM ticket_tell(r.change_id, 'decision/' || NEW.id,
                      jsonb_build_object('ring', r.ring, 'decision', NEW.decision, 'state', NEW.state, 'reason', NEW.refused_reason, 'proof', NEW.proof,
                                         'comment', left(NEW.comment, 500), 'by', (SELECT name FROM account WHERE id = NEW.account_id)))
     FROM approval_request r WHERE r.id = NEW.request_id;
  RETURN NULL;
END $$;
-- Of refusals only those of a ticket: whoever decided elsewhere was told there.
CREATE TRIGGER ticket_decision AFTER UPDATE OF state ON approval_decision FOR EACH ROW
  WHEN (OLD.state <> NEW.state AND (NEW.state = 'counted' OR (NEW.state = 'refused' AND NEW.proof = 'ticket')))
  EXECUTE FUNCTION ticket_decision();

-- Work for people, noted with the order that makes it. Only changes: a scan that failed is asked for again.
CREATE FUNCTION work_of_order() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  what text := CASE WHEN NEW.state = 'expired' THEN 'straggler' ELSE 'failedEndpoint' END;
BEGIN
  INSERT INTO work_item AS w (key, kind, endpoint_id, change_id, reason, evidence)
  VALUES (what || '/' || NEW.endpoint_id, what, NEW.endpoint_id, NEW.change_id,
          coalesce(NEW.reason, NEW.straggler_reason, NEW.window_reason, NEW.state),
          jsonb_build_object('orderId', NEW.id, 'state', NEW.state, 'kind', NEW.kind, 'attempt', NEW.attempt, 'ring', NEW.home_ring))
  ON CONFLICT (key) WHERE closed_at IS NULL DO UPDATE
    SET seen = w.seen + 1, last_seen_at = clock_timestamp(), change_id = excluded.change_id, reason = excluded.reason, evidence = excluded.evidence;
  RETURN NULL;
END $$;
CREATE TRIGGER work_of_order AFTER UPDATE OF state ON order_state FOR EACH ROW
  WHEN (NEW.state <> OLD.state AND NEW.change_id IS NOT NULL
        AND ((NEW.kind = 'change' AND NEW.state IN ('failed', 'reverted', 'revertFailed', 'expired'))
          OR (NEW.kind = 'revert' AND NEW.state IN ('failed', 'revertFailed'))))
  EXECUTE FUNCTION work_of_order();

-- People who watch are told when a ticket is not as we set it (docs/events.md).
CREATE FUNCTION feed_ticket() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  PERFORM feed('ticket.' || NEW.attention, coalesce(NEW.change_id, (SELECT change_id FROM work_item WHERE id = NEW.work_item_id)),
               jsonb_build_object('ticketId', NEW.id, 'ref', NEW.ref, 'url', NEW.url, 'by', NEW.attention_by));
  RETURN NULL;
END $$;
CREATE TRIGGER feed_ticket AFTER UPDATE OF attention ON ticket FOR EACH ROW
  WHEN (NEW.attention IS NOT NULL AND NEW.attention IS DISTINCT FROM OLD.attention) EXECUTE FUNCTION feed_ticket();

REVOKE ALL ON FUNCTION feed_ticket(), ticket_tell(uuid, text, jsonb), ticket_open(uuid), ticket_close(uuid, text), ticket_change(), ticket_ring(),
  ticket_approval(), ticket_decision(), work_of_order() FROM PUBLIC;

GRANT SELECT, INSERT, UPDATE, DELETE ON ticket_system_state, work_item, ticket, ticket_action, ticket_event, ticket_decision TO ringmaster_worker;
GRANT SELECT ON ticket_system TO ringmaster_worker;
-- The web tier keeps the systems and takes in signed events; what is told, and what counts, is the worker's. A system's own
-- secret it can put in and never take out.
GRANT SELECT (id, name, provider, settings, policy, has_secret, hook_secret, hook_secret_before, hook_secret_before_until, active, version, created_by,
  created_at, retired_at) ON ticket_system TO ringmaster_api;
GRANT INSERT, UPDATE ON ticket_system TO ringmaster_api;
GRANT SELECT ON ticket_system_state, work_item, ticket, ticket_action, ticket_event, ticket_decision TO ringmaster_api;
GRANT INSERT ON ticket_event TO ringmaster_api;
