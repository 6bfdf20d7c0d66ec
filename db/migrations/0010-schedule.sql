-- Cycles that start by the calendar, and limits on guessing shared by all replicas of the web tier.

CREATE TABLE schedule (
  id uuid PRIMARY KEY,
  name text NOT NULL,
  spec jsonb NOT NULL,                           -- domain/change/spec.ts: what each occurrence asks for
  calendar jsonb NOT NULL,                       -- domain/schedule Cadence: rrule, plusDays, at, zone
  overlap text NOT NULL CHECK (overlap IN ('skip', 'bufferOne', 'allowAll')),
  created_by text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  retired_at timestamptz,
  version int NOT NULL DEFAULT 1,                -- incremented with every edit of the row
  applied_version int NOT NULL DEFAULT 0         -- what the worker last told Temporal
);
CREATE UNIQUE INDEX schedule_current_name ON schedule (name) WHERE retired_at IS NULL;

-- rate-limiter-flexible's own shape.
CREATE TABLE rate_limit (
  key varchar(255) PRIMARY KEY,
  points integer NOT NULL DEFAULT 0,
  expire bigint
);

GRANT SELECT, INSERT, UPDATE, DELETE ON schedule, rate_limit TO ringmaster_worker;
GRANT SELECT, INSERT, UPDATE ON schedule TO ringmaster_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON rate_limit TO ringmaster_api;
