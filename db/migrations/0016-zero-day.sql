-- Zero-days: what must be gone, where it was found and until when, and the policy they are hurried under.

CREATE TABLE expedite_policy (                   -- versions are kept; the highest is in force. None: the default of domain/zero-day
  version int PRIMARY KEY,
  document jsonb NOT NULL,                       -- domain/zero-day/expedite-policy.ts
  created_by text NOT NULL,
  created_at timestamptz NOT NULL
);

CREATE TABLE zero_day (
  id uuid PRIMARY KEY,
  name text NOT NULL,
  reason text NOT NULL,
  request jsonb NOT NULL,                        -- CVEs, packages and override, as asked for
  targets jsonb NOT NULL,                        -- domain/zero-day/target.ts: which versions of what are vulnerable
  scope jsonb,                                   -- domain/fleet/selector.ts; null: every endpoint concerned
  requested_by text NOT NULL,
  requested_at timestamptz NOT NULL,
  due_at timestamptz NOT NULL,
  looked_at timestamptz NOT NULL,                -- when inventories were last compared with the targets
  exposed int NOT NULL,                          -- endpoints exposed then
  ended_at timestamptz                           -- since when none has been
);
CREATE INDEX zero_day_newest ON zero_day (requested_at DESC, id DESC);

-- Every endpoint a zero-day ever found exposed.
CREATE TABLE zero_day_endpoint (
  zero_day_id uuid NOT NULL REFERENCES zero_day,
  endpoint_id uuid NOT NULL REFERENCES endpoint,
  exposed_since timestamptz NOT NULL,            -- the request, or the scan that first showed it later
  fixed_at timestamptz,                          -- the scan that proved it; null while it is exposed
  fixed_by_scan uuid,
  PRIMARY KEY (zero_day_id, endpoint_id)
);

-- Which zero-day a change serves: it plans for that one's endpoints alone.
ALTER TABLE change ADD COLUMN zero_day_id uuid REFERENCES zero_day;
CREATE INDEX change_zero_day ON change (zero_day_id) WHERE zero_day_id IS NOT NULL;
-- As of the change it speaks of; the highest is sent first.
ALTER TABLE mail ADD COLUMN priority smallint NOT NULL DEFAULT 0;

CREATE INDEX installed_package_source ON installed_package (source);
CREATE INDEX catalogue_package_source ON catalogue_package (source);
CREATE INDEX source_fix_cves ON source_fix USING gin (cves);

GRANT SELECT, INSERT ON expedite_policy, zero_day, zero_day_endpoint TO ringmaster_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON expedite_policy, zero_day, zero_day_endpoint TO ringmaster_worker;
