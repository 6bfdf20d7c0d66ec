-- What verified repository indexes name, and the files we hold.

CREATE TABLE repository (
  id uuid PRIMARY KEY,
  name text NOT NULL UNIQUE,
  kind text NOT NULL CHECK (kind IN ('apt')),
  config jsonb NOT NULL,                         -- adapters/content/apt: uri, suites, components, architectures, keyring
  last_synced_at timestamptz,
  last_error text,
  state jsonb NOT NULL DEFAULT '{}'              -- validators (ETag …) of the last sync
);

CREATE TABLE catalogue_package (
  repository_id uuid NOT NULL REFERENCES repository,
  name text NOT NULL,
  arch text NOT NULL,
  version text NOT NULL,
  suite text NOT NULL,
  source text NOT NULL,
  source_version text NOT NULL,
  sha256 text NOT NULL,
  size bigint NOT NULL,
  filename text NOT NULL,
  detail jsonb NOT NULL DEFAULT '{}',
  first_seen timestamptz NOT NULL DEFAULT now(), -- publishedAt, as far as we can know it
  withdrawn_at timestamptz,                      -- no longer named by the index; kept for rollback
  PRIMARY KEY (repository_id, suite, name, arch, version)
);
CREATE INDEX catalogue_package_version ON catalogue_package (name, arch, version);

CREATE TABLE content (
  sha256 text PRIMARY KEY,
  size bigint NOT NULL,
  stored_at timestamptz NOT NULL DEFAULT now()
);

-- Files that could not be had, and why; what needs one is deferred with that reason. Gone once the file is there.
CREATE TABLE content_refusal (
  sha256 text PRIMARY KEY,
  reason text NOT NULL,
  at timestamptz NOT NULL DEFAULT now()
);

-- What a source version fixed, read from the package's own changelog.
CREATE TABLE source_fix (
  source text NOT NULL,
  version text NOT NULL,
  cves text[] NOT NULL,
  urgency text,
  released_at timestamptz,
  PRIMARY KEY (source, version)
);
