-- Intent first: what must reach Temporal or a mailbox is written in the transaction that decides it (design §8).
CREATE TABLE outbox (
  id uuid PRIMARY KEY,                           -- also the Update id, so a resend is recognised
  topic text NOT NULL CHECK (topic IN ('startChange', 'command', 'decision', 'replan')),
  workflow_id text NOT NULL,
  payload jsonb NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  attempts int NOT NULL DEFAULT 0,
  next_attempt_at timestamptz NOT NULL DEFAULT now(),
  last_error text,
  done_at timestamptz,
  result jsonb
);
CREATE INDEX outbox_due ON outbox (next_attempt_at) WHERE done_at IS NULL;

CREATE TABLE mail (
  key text PRIMARY KEY,                          -- idempotency: one mail per key
  recipient text NOT NULL,
  subject text NOT NULL,
  text_body text NOT NULL,
  html_body text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  sent_at timestamptz,
  sent_by text CHECK (sent_by IN ('smtp', 'folder')),
  attempts int NOT NULL DEFAULT 0,
  next_attempt_at timestamptz NOT NULL DEFAULT '-infinity', -- due at once, whatever two clocks say
  last_error text
);
CREATE INDEX mail_due ON mail (next_attempt_at) WHERE sent_at IS NULL;

-- Entries are inserted unsealed in the deciding transaction; the worker seals them into one hash chain in `sealed` order.
CREATE TABLE audit_entry (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  actor text NOT NULL,
  action text NOT NULL,
  subject text NOT NULL,
  detail jsonb NOT NULL DEFAULT '{}',
  sealed bigint UNIQUE,
  previous_hash text,
  hash text
);
CREATE INDEX audit_unsealed ON audit_entry (id) WHERE sealed IS NULL;

CREATE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND OLD.sealed IS NULL AND NEW.sealed IS NOT NULL
     AND (OLD.id, OLD.at, OLD.actor, OLD.action, OLD.subject, OLD.detail)
       = (NEW.id, NEW.at, NEW.actor, NEW.action, NEW.subject, NEW.detail) THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'audit entries are append-only';
END $$;
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON audit_entry FOR EACH ROW EXECUTE FUNCTION audit_append_only();
CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit_entry FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only();
