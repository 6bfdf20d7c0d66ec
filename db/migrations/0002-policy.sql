-- Policy sets and freeze calendars. Versions are kept: a plan names the version it was made under.

CREATE TABLE policy_set (
  id uuid NOT NULL,
  version int NOT NULL,
  name text NOT NULL,
  precedence int NOT NULL DEFAULT 0,             -- the highest that applies to an endpoint wins; a tie is refused
  document jsonb NOT NULL,                       -- domain/policy/policy-set.ts
  created_by text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  retired_at timestamptz,
  PRIMARY KEY (id, version)
);
CREATE UNIQUE INDEX policy_set_current_name ON policy_set (name) WHERE retired_at IS NULL;

CREATE TABLE freeze_calendar (
  id uuid PRIMARY KEY,
  name text NOT NULL UNIQUE,
  icalendar text NOT NULL,
  imported_by text NOT NULL,
  imported_at timestamptz NOT NULL DEFAULT now()
);
