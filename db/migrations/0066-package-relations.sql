-- What a package needs and stands in for, as its index says: from these follows what a fix that installs one may bring (docs/baselines.md).
ALTER TABLE catalogue_package
  ADD COLUMN depends text,                               -- Pre-Depends and Depends; null: read before this was kept, its index must be read anew
  ADD COLUMN provides text,                              -- as in the index, versions and all
  ADD COLUMN provided text[] NOT NULL DEFAULT '{}';      -- names in `provides`
CREATE INDEX catalogue_package_provided ON catalogue_package USING gin (provided) WHERE provided <> '{}';

-- What approvers approved beside a package: each file that installing it may bring, as text, by digest. Agents get it from the content store.
CREATE TABLE package_list (
  sha256 text PRIMARY KEY,
  size int NOT NULL,
  packages int NOT NULL,
  body text NOT NULL,
  planned_at timestamptz NOT NULL,                       -- when a plan last named it
  stored_at timestamptz                                  -- null: on its way to the content store
);
CREATE INDEX package_list_pending ON package_list (sha256) WHERE stored_at IS NULL;
GRANT SELECT ON package_list TO ringmaster_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON package_list TO ringmaster_worker;
