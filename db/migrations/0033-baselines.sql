-- Security baselines: imported data streams, what they hold, who is measured by them, and what was found.

CREATE TABLE baseline (
  id uuid PRIMARY KEY,
  name text NOT NULL UNIQUE,
  created_by text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);

-- Every version ever imported stays. The bytes are here until the worker has put them into the content store, which the web tier can't write.
CREATE TABLE baseline_version (
  id uuid PRIMARY KEY,
  baseline_id uuid NOT NULL REFERENCES baseline,
  number int NOT NULL,
  sha256 text NOT NULL,
  size bigint NOT NULL,
  document bytea,                                -- gzip; null once it is in the content store
  benchmark_id text NOT NULL,
  benchmark_version text NOT NULL,
  title text NOT NULL,
  platforms text[] NOT NULL,
  groups jsonb NOT NULL,                         -- domain/baseline/model.ts
  vals jsonb NOT NULL,
  profiles jsonb NOT NULL,
  imported_by text NOT NULL,
  imported_at timestamptz NOT NULL DEFAULT now(),
  stored_at timestamptz,                         -- in the content store
  UNIQUE (baseline_id, number),
  UNIQUE (baseline_id, sha256)
);

CREATE TABLE baseline_rule (
  version_id uuid NOT NULL REFERENCES baseline_version,
  number smallint NOT NULL,                      -- its place in the benchmark
  id text NOT NULL,
  name text NOT NULL,                            -- domain/baseline/rule-name.ts
  title text NOT NULL,
  severity text NOT NULL,
  detail jsonb NOT NULL,                         -- the rest of domain/baseline/model.ts BaselineRule
  PRIMARY KEY (version_id, number),
  UNIQUE (version_id, id)
);

-- What endpoints are measured by: a version, a profile of it, perhaps tailored. Never changed once made.
CREATE TABLE checklist (
  id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text NOT NULL UNIQUE,                     -- in orders and plans, e.g. debian12.v1.anssi-bp28-high
  digest text NOT NULL UNIQUE,
  version_id uuid NOT NULL REFERENCES baseline_version,
  profile text NOT NULL,
  scanner_profile text NOT NULL,
  tailoring jsonb,                               -- domain/baseline/tailoring.ts
  tailoring_text text,
  tailoring_sha256 text,
  tailoring_size int,
  stored_at timestamptz,                         -- its tailoring is in the content store
  created_at timestamptz NOT NULL DEFAULT now()
);

-- Rules of a checklist in the order in which results are kept.
CREATE TABLE checklist_rule (
  checklist_id int NOT NULL REFERENCES checklist,
  position smallint NOT NULL,
  rule_id text NOT NULL,
  name text NOT NULL,
  title text NOT NULL,
  severity text NOT NULL,
  fix_sha256 text,
  no_fix_reason text,                            -- why nothing remediates it; null: fix_sha256 does
  PRIMARY KEY (checklist_id, position)
);

-- Fix scripts by digest: what approvers approve. The worker puts them into the content store when a change needs them.
CREATE TABLE baseline_fix (
  sha256 text PRIMARY KEY,
  size int NOT NULL,
  body text NOT NULL
);

CREATE TABLE baseline_assignment (
  id uuid PRIMARY KEY,
  name text NOT NULL UNIQUE,
  baseline_id uuid NOT NULL REFERENCES baseline,
  checklist_id int NOT NULL REFERENCES checklist,
  applies_to jsonb NOT NULL,                     -- domain/fleet/selector.ts
  precedence int NOT NULL,                       -- of several for one baseline the highest counts on an endpoint
  mode text NOT NULL CHECK (mode IN ('observe', 'propose', 'enforce')),
  trial jsonb,                                   -- {mode, appliesTo}: a subset that is a step ahead
  critical text[] NOT NULL DEFAULT '{}',         -- rule ids whose drift is told at once
  edited_by text NOT NULL,
  edited_at timestamptz NOT NULL DEFAULT now()
);

-- Which endpoint is measured by what, as the worker resolved it; and what it has to do next about it.
CREATE TABLE assessment_target (
  endpoint_id uuid NOT NULL REFERENCES endpoint,
  checklist_id int NOT NULL REFERENCES checklist,
  assignment_id uuid REFERENCES baseline_assignment ON DELETE CASCADE,
  mode text NOT NULL,
  every_minutes int NOT NULL,
  wanted_at timestamptz,                         -- asked for by a person or a change
  wanted_by text,
  order_id uuid,                                 -- the scan order that is out
  ordered_at timestamptz,
  PRIMARY KEY (endpoint_id, checklist_id)
);

-- The newest results of an endpoint: one character per rule of the checklist (domain/baseline/results.ts).
CREATE TABLE assessment (
  endpoint_id uuid NOT NULL REFERENCES endpoint,
  checklist_id int NOT NULL REFERENCES checklist,
  results text NOT NULL,
  revision int NOT NULL,                         -- what the endpoint may send differences against
  passed smallint NOT NULL,
  failed smallint NOT NULL,
  errors smallint NOT NULL,
  not_applicable smallint NOT NULL,
  not_checked smallint NOT NULL,
  first_at timestamptz NOT NULL,
  assessed_at timestamptz,                       -- null: never with an answer
  arf_sha256 text,                               -- the full results, kept on the endpoint
  arf_size bigint,
  problem text,                                  -- why the newest try gave no answer; the results are those of the one before
  problem_at timestamptz,
  PRIMARY KEY (endpoint_id, checklist_id)
) WITH (fillfactor = 80);

-- Since when: every change of a result. A rule without one is what it was at first_at.
CREATE TABLE rule_change (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  endpoint_id uuid NOT NULL,
  checklist_id int NOT NULL,
  position smallint NOT NULL,
  before "char" NOT NULL,
  after "char" NOT NULL,
  at timestamptz NOT NULL,
  change_id uuid                                 -- the change whose order was the last to work there; null: nothing explains it
);
CREATE INDEX rule_change_endpoint ON rule_change (endpoint_id, checklist_id, position, at);
CREATE INDEX rule_change_unexplained ON rule_change (at) WHERE change_id IS NULL;

-- Scans of single rules that a change asks for to prove itself; the answer decides, whoever asked.
CREATE TABLE rule_proof (
  change_id uuid NOT NULL REFERENCES change,
  endpoint_id uuid NOT NULL REFERENCES endpoint,
  checklist_id int NOT NULL REFERENCES checklist,
  order_id uuid,                                 -- null: waits for the worker
  rules text[] NOT NULL,                         -- names, as in the order
  results jsonb,                                 -- by name; null: not answered yet
  asked_at timestamptz NOT NULL,
  answered_at timestamptz,
  PRIMARY KEY (change_id, endpoint_id)
);
CREATE INDEX rule_proof_order ON rule_proof (order_id);

GRANT SELECT ON baseline, baseline_version, baseline_rule, checklist, checklist_rule, baseline_fix, baseline_assignment,
  assessment_target, assessment, rule_change, rule_proof TO ringmaster_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON baseline, baseline_version, baseline_rule, checklist, checklist_rule, baseline_fix,
  baseline_assignment, assessment_target, assessment, rule_change, rule_proof TO ringmaster_worker;
GRANT INSERT ON baseline, baseline_version, baseline_rule, checklist, checklist_rule, baseline_fix, rule_change TO ringmaster_api;
GRANT INSERT, UPDATE, DELETE ON baseline_assignment TO ringmaster_api;
GRANT INSERT, UPDATE ON assessment TO ringmaster_api;
GRANT UPDATE (wanted_at, wanted_by, order_id) ON assessment_target TO ringmaster_api;
GRANT UPDATE (results, answered_at) ON rule_proof TO ringmaster_api;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO ringmaster_worker, ringmaster_api;
