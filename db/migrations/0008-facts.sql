-- What reports will need, kept from the first day (design §12): one row per endpoint and update ever seen missing.
CREATE TABLE update_fact (
  endpoint_id uuid NOT NULL REFERENCES endpoint,
  name text NOT NULL,
  arch text NOT NULL,
  version text NOT NULL,                         -- the version that was missing
  installed_before text,
  source text,
  vendor text,
  severity text,
  cves text[] NOT NULL DEFAULT '{}',
  published_at timestamptz,
  first_missing_at timestamptz NOT NULL,
  last_missing_at timestamptz NOT NULL,
  due_at timestamptz,
  approved_at timestamptz,
  applied_at timestamptz,
  confirmed_at timestamptz,
  change_id uuid,
  order_id uuid,
  outcome text,
  window_opens timestamptz,
  window_closes timestamptz,
  window_kept boolean,
  endpoint_user text,
  PRIMARY KEY (endpoint_id, name, arch, version)
);

CREATE TABLE setting (
  key text PRIMARY KEY,
  value jsonb NOT NULL
);
