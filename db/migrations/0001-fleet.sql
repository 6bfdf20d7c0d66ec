-- Endpoints, how they enrol, groups, and what each scan found.

CREATE TABLE join_token (
  id uuid PRIMARY KEY,
  token_hash text NOT NULL UNIQUE,               -- SHA-256, hex; the token itself is shown once and never stored
  labels jsonb NOT NULL DEFAULT '{}',
  scan_only boolean NOT NULL DEFAULT false,
  uses_left int NOT NULL CHECK (uses_left >= 0),
  expires_at timestamptz NOT NULL,
  created_by text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE endpoint (
  id uuid PRIMARY KEY,
  name text NOT NULL,
  public_key text NOT NULL UNIQUE,               -- Ed25519, raw 32 bytes, base64url
  state text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'quarantined', 'retired')),
  state_reason text,
  scan_only boolean NOT NULL DEFAULT false,
  simulated boolean NOT NULL DEFAULT false,
  machine_id text,
  zone text NOT NULL DEFAULT 'UTC',              -- IANA; what "the endpoint's own zone" means
  labels jsonb NOT NULL DEFAULT '{}',
  function text,                                 -- survey: what it is for
  sensitivity text CHECK (sensitivity IN ('low', 'moderate', 'high')),
  attack_likelihood text CHECK (attack_likelihood IN ('low', 'moderate', 'high')),
  facts jsonb NOT NULL DEFAULT '{}',             -- os, kernel, agent version, capabilities …
  local_limits jsonb NOT NULL DEFAULT '{}',      -- what its owner forbids, as it last told us
  observations jsonb NOT NULL DEFAULT '{}',      -- other hands on the package manager, pending reboot …
  hold_until timestamptz,
  hold_reason text,
  wants_scan boolean NOT NULL DEFAULT false,
  key_id text UNIQUE,                            -- SHA-256 (hex) of the raw public key: the keyid of its signatures
  boot_id text,
  earlier_boot_ids text[] NOT NULL DEFAULT '{}', -- a boot id that comes back means two machines share one identity
  last_signed_at timestamptz,                    -- when its newest judged poll was signed; older ones judge nothing
  last_journal_seq bigint NOT NULL DEFAULT 0,    -- a smaller one later means a rolled-back or cloned journal
  clock_skew_ms int NOT NULL DEFAULT 0,
  enrolled_at timestamptz NOT NULL DEFAULT now(),
  last_seen timestamptz,
  next_poll_at timestamptz
);
CREATE INDEX endpoint_labels ON endpoint USING gin (labels jsonb_path_ops);

CREATE TABLE stakeholder (
  endpoint_id uuid NOT NULL REFERENCES endpoint,
  kind text NOT NULL CHECK (kind IN ('itOwner', 'user', 'management', 'businessOwner')),
  account_id uuid NOT NULL,
  PRIMARY KEY (endpoint_id, kind, account_id)
);

CREATE TABLE endpoint_group (
  id uuid PRIMARY KEY,
  name text NOT NULL UNIQUE,
  selector jsonb NOT NULL,                       -- domain/fleet/selector.ts
  created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE scan (
  id uuid PRIMARY KEY,
  endpoint_id uuid NOT NULL REFERENCES endpoint,
  started_at timestamptz NOT NULL,
  received_at timestamptz NOT NULL DEFAULT now(),
  complete boolean NOT NULL,
  incomplete_reason text,
  provider text NOT NULL,
  index_age_seconds int,                         -- how old the endpoint's package index was
  reboot_required boolean NOT NULL DEFAULT false,
  audit_clean boolean NOT NULL DEFAULT true
);
CREATE INDEX scan_endpoint ON scan (endpoint_id, received_at DESC);

CREATE TABLE installed_package (
  endpoint_id uuid NOT NULL REFERENCES endpoint,
  name text NOT NULL,
  arch text NOT NULL,
  version text NOT NULL,
  source text NOT NULL,
  source_version text NOT NULL,
  scan_id uuid NOT NULL,
  PRIMARY KEY (endpoint_id, name, arch)
);

-- What the endpoint itself would upgrade now; the plan may choose less, never something no verified index names.
CREATE TABLE available_update (
  endpoint_id uuid NOT NULL REFERENCES endpoint,
  name text NOT NULL,
  arch text NOT NULL,
  installed text,                                -- null: a new package the upgrade pulls in
  candidate text NOT NULL,
  scan_id uuid NOT NULL,
  PRIMARY KEY (endpoint_id, name, arch)
);

CREATE TABLE endpoint_service (
  endpoint_id uuid NOT NULL REFERENCES endpoint,
  kind text NOT NULL CHECK (kind IN ('unit', 'listener')),
  name text NOT NULL,
  detail jsonb NOT NULL DEFAULT '{}',
  scan_id uuid NOT NULL,
  PRIMARY KEY (endpoint_id, kind, name)
);
