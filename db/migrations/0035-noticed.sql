-- What agents notice between scans, and what becomes of it.

CREATE TABLE noticed (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  endpoint_id uuid NOT NULL REFERENCES endpoint,
  key text NOT NULL,                             -- told twice is there once
  kind text NOT NULL CHECK (kind IN ('listener', 'service', 'privilegedUser', 'package', 'rule')),
  action text NOT NULL CHECK (action IN ('added', 'removed', 'changed')),
  name text NOT NULL,
  detail jsonb NOT NULL DEFAULT '{}',
  noticed_at timestamptz NOT NULL,               -- by the endpoint
  received_at timestamptz NOT NULL,
  change_id uuid,                                -- the change whose order was at work there; null: nothing explains it
  judged_at timestamptz,
  UNIQUE (endpoint_id, key)
);
CREATE INDEX noticed_unjudged ON noticed (id) WHERE judged_at IS NULL;
CREATE INDEX noticed_unexplained ON noticed (received_at) WHERE change_id IS NULL;

-- Which of it matters to whom; of several that match the highest precedence counts. None: it is only on record.
CREATE TABLE notice_rule (
  name text PRIMARY KEY,
  document jsonb NOT NULL,                       -- domain/baseline/notice-rule.ts
  edited_by text NOT NULL,
  edited_at timestamptz NOT NULL
);

CREATE TABLE incident (
  id uuid PRIMARY KEY,
  noticed_id bigint NOT NULL REFERENCES noticed,
  endpoint_id uuid NOT NULL REFERENCES endpoint,
  rule text NOT NULL,                            -- the notice rule's name
  respond text NOT NULL CHECK (respond IN ('alert', 'ticket', 'incident')),
  severity text NOT NULL,
  subject text NOT NULL,                         -- kind, action and name: one open row per endpoint and subject
  summary text NOT NULL,
  opened_at timestamptz NOT NULL,
  times int NOT NULL DEFAULT 1,
  acknowledged_by text,
  acknowledged_at timestamptz,
  escalate_at timestamptz,                       -- unless acknowledged before
  escalated_at timestamptz,
  change_id uuid,                                -- the expedited change it started
  closed_at timestamptz,
  closed_by text
);
CREATE UNIQUE INDEX incident_open ON incident (endpoint_id, subject) WHERE closed_at IS NULL;
CREATE INDEX incident_escalating ON incident (escalate_at) WHERE acknowledged_at IS NULL AND escalated_at IS NULL;

GRANT SELECT ON noticed, notice_rule, incident TO ringmaster_api;
GRANT INSERT ON noticed TO ringmaster_api;
GRANT INSERT, UPDATE, DELETE ON notice_rule TO ringmaster_api;
GRANT UPDATE (acknowledged_by, acknowledged_at, closed_at, closed_by) ON incident TO ringmaster_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON noticed, notice_rule, incident TO ringmaster_worker;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO ringmaster_worker, ringmaster_api;
