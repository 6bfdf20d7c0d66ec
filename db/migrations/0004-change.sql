-- Changes (patch cycles, remediations), their rings and frozen plans.

CREATE TABLE change (
  id uuid PRIMARY KEY,
  kind text NOT NULL,                            -- registry of change kinds: 'patch', …
  name text NOT NULL,
  spec jsonb NOT NULL,                           -- domain/change/spec.ts
  priority smallint NOT NULL DEFAULT 0,          -- higher goes first and supersedes; 0 is routine
  requested_by text NOT NULL,
  requested_at timestamptz NOT NULL DEFAULT now(),
  deadline timestamptz NOT NULL,
  -- Projection, written by the workflow's activities and guarded by `version`.
  version bigint NOT NULL DEFAULT 0,
  stage text NOT NULL DEFAULT 'requested' CHECK (stage IN
    ('requested', 'discover', 'obtain', 'test', 'prepare', 'deploy', 'confirm', 'closed')),
  outcome text CHECK (outcome IN ('completed', 'completedWithFailures', 'nothingToDo', 'rolledBack', 'aborted', 'expired', 'failed')),
  waiting_for text,                              -- one sentence; null while something runs
  summary jsonb,
  closed_at timestamptz,
  -- Stop is a row: set by whoever stops, cleared only by the workflow.
  halted boolean NOT NULL DEFAULT false,
  halt_verb text CHECK (halt_verb IN ('pause', 'abort', 'stopAll')),
  halted_by text,
  plan_digest text,
  plan_revision int NOT NULL DEFAULT 0
);

CREATE TABLE plan (
  change_id uuid NOT NULL REFERENCES change,
  revision int NOT NULL,
  digest text NOT NULL,
  header jsonb NOT NULL,                         -- domain/content PlanHeader: terms, budgets, halt actions; covered by the digest
  totals jsonb NOT NULL DEFAULT '{}',            -- what approvers read first: triage totals, CVEs, exclusions
  reason text NOT NULL DEFAULT '',               -- why this revision was made
  widened boolean NOT NULL DEFAULT false,        -- asks for more than the one before: voids approvals
  request_key text,                              -- the activity that made it, so that its retry makes no other
  frozen_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (change_id, revision)
);

CREATE TABLE update_set (
  digest text PRIMARY KEY,                       -- SHA-256 over the canonical items
  items jsonb NOT NULL,
  previous jsonb NOT NULL DEFAULT '[]'           -- files to go back to; better known later than sooner, so not in the digest
);

CREATE TABLE plan_endpoint (
  change_id uuid NOT NULL REFERENCES change,
  endpoint_id uuid NOT NULL REFERENCES endpoint,
  revision int NOT NULL,
  ring smallint,                                 -- null: not in any ring, `reason` says why
  wave smallint NOT NULL DEFAULT 0,
  update_set_digest text REFERENCES update_set,
  provider text,                                 -- what carries it out on the endpoint: 'apt', …
  reversibility text CHECK (reversibility IN ('reversible', 'reversibleButData', 'irreversible')),
  triage jsonb NOT NULL DEFAULT '[]',            -- each with its reason: deferred and declined updates, included ones that are not plainly reversible
  policy_set_id uuid,
  policy_version int,
  policy_reason text,                            -- "from policy set Servers EU on group ERP"
  reason text,
  skipped_by text,                               -- a person took it out; a re-plan keeps it out
  PRIMARY KEY (change_id, endpoint_id)
);
CREATE INDEX plan_endpoint_ring ON plan_endpoint (change_id, ring);

-- One row per ring and change, there before the first order so that a stop finds it. Ordinal 1000 is the stragglers' lane.
CREATE TABLE ring (
  change_id uuid NOT NULL REFERENCES change,
  ordinal smallint NOT NULL,
  name text NOT NULL,
  spec jsonb NOT NULL,
  state text NOT NULL DEFAULT 'waiting' CHECK (state IN
    ('waiting', 'open', 'soaking', 'passed', 'halted', 'rollingBack', 'rolledBack', 'failed', 'aborted')),
  epoch bigint NOT NULL DEFAULT 0,               -- fences a pump that outlived its heartbeat
  halted boolean NOT NULL DEFAULT false,
  halt_reason text,
  halted_by text,
  halted_at timestamptz,
  approved_digest text,                          -- what approvers (or a policy that asks for none) agreed to
  approvals uuid[] NOT NULL DEFAULT '{}',        -- the approval requests behind it, named in every order
  planned int NOT NULL DEFAULT 0,                -- endpoints the ring opened with: what percentages are of
  forgiven_failures int NOT NULL DEFAULT 0,      -- failures a person accepted by resuming a spent budget
  ignore_windows boolean NOT NULL DEFAULT false, -- a rollback told not to wait for hours of operation
  concurrency int NOT NULL DEFAULT 1,            -- slow start: doubles with successes, halves on a failure
  paced_successes int NOT NULL DEFAULT 0,        -- outcomes the pace has already taken into account
  paced_failures int NOT NULL DEFAULT 0,
  target_kind text NOT NULL DEFAULT 'change' CHECK (target_kind IN ('stage', 'change', 'revert')),
  opened_at timestamptz,
  drained_at timestamptz,
  deadline timestamptz,
  PRIMARY KEY (change_id, ordinal)
);

CREATE TABLE quorum_group (
  id uuid PRIMARY KEY,
  name text NOT NULL UNIQUE,
  selector jsonb NOT NULL,
  max_unavailable int NOT NULL CHECK (max_unavailable >= 1)
);

CREATE TABLE quorum_member (
  quorum_id uuid NOT NULL REFERENCES quorum_group ON DELETE CASCADE,
  endpoint_id uuid NOT NULL REFERENCES endpoint,
  PRIMARY KEY (endpoint_id, quorum_id)
);
