CREATE TABLE account (
  id uuid PRIMARY KEY,
  name text NOT NULL,
  email text NOT NULL UNIQUE,
  second_channel text,                           -- another address for one-time codes
  password_hash text,                            -- argon2id; null: cannot sign in with a password
  zone text NOT NULL DEFAULT 'UTC',
  disabled_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE stakeholder ADD FOREIGN KEY (account_id) REFERENCES account;

CREATE TABLE role_grant (
  account_id uuid NOT NULL REFERENCES account,
  role text NOT NULL CHECK (role IN ('Administrator', 'Manager', 'Operator', 'User')),
  PRIMARY KEY (account_id, role)
);

CREATE TABLE api_token (
  id uuid PRIMARY KEY,
  token_hash text NOT NULL UNIQUE,               -- SHA-256, hex
  name text NOT NULL,
  account_id uuid REFERENCES account,
  role text NOT NULL CHECK (role IN ('Administrator', 'Manager', 'Operator', 'User')),
  expires_at timestamptz,
  revoked_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE web_session (                       -- connect-pg-simple
  sid text PRIMARY KEY,
  sess json NOT NULL,
  expire timestamptz NOT NULL
);
CREATE INDEX web_session_expire ON web_session (expire);

CREATE TABLE approval_request (
  id uuid PRIMARY KEY,
  change_id uuid NOT NULL REFERENCES change,
  ring smallint NOT NULL,
  rule jsonb NOT NULL,                           -- domain/approval: who, quorum, by when, escalation
  plan_digest text NOT NULL,
  high_risk boolean NOT NULL DEFAULT false,
  evidence jsonb NOT NULL,                       -- what the mail and the page show, frozen when asked
  state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'approved', 'rejected', 'expired', 'voided')),
  opened_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz NOT NULL,
  escalated_at timestamptz,
  closed_at timestamptz
);

CREATE TABLE approval_person (
  request_id uuid NOT NULL REFERENCES approval_request,
  account_id uuid NOT NULL REFERENCES account,
  via text NOT NULL,                             -- "role Manager", "IT owner of web-1", "escalation"
  locator text NOT NULL UNIQUE,                  -- in the mailed link; finds the page, decides nothing
  code_way text CHECK (code_way IN ('secondChannel', 'mailbox')), -- how the one-time code travels; null: it does not
  PRIMARY KEY (request_id, account_id)
);

CREATE TABLE approval_decision (
  id uuid PRIMARY KEY,
  request_id uuid NOT NULL REFERENCES approval_request,
  account_id uuid NOT NULL REFERENCES account,
  decision text NOT NULL CHECK (decision IN ('approve', 'reject')),
  comment text NOT NULL DEFAULT '',
  plan_digest text NOT NULL,                     -- the digest the person saw
  proof text NOT NULL CHECK (proof IN ('session', 'code')),
  code text,                                     -- as typed; only the worker can tell whether it is right. Cleared once judged
  state text NOT NULL DEFAULT 'submitted' CHECK (state IN ('submitted', 'counted', 'refused')),
  refused_reason text,
  decided_at timestamptz NOT NULL DEFAULT now(),
  judged_at timestamptz
);
CREATE UNIQUE INDEX approval_decision_once ON approval_decision (request_id, account_id) WHERE state <> 'refused';
