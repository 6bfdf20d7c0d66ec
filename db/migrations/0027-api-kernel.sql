-- What the API keeps for itself: replies by Idempotency-Key, scopes of tokens, and roles of an installation's own.
CREATE TABLE idempotency_key (
  actor text NOT NULL,                           -- whose key it is: keys of two people never meet
  key text NOT NULL,
  fingerprint text NOT NULL,                     -- keyed hash of method, path and body: bodies may hold passwords
  attempt uuid NOT NULL,                         -- which request holds the claim; one that lost it can't commit
  claimed_at timestamptz NOT NULL,
  created_at timestamptz NOT NULL,
  committed boolean NOT NULL DEFAULT false,      -- set in the very transaction that has the effect
  reply jsonb,                                   -- status, headers, body; null while none was stored
  PRIMARY KEY (actor, key)
);
CREATE INDEX idempotency_key_age ON idempotency_key (created_at);

CREATE TABLE custom_role (
  name text PRIMARY KEY CHECK (name NOT IN ('Administrator', 'Manager', 'Operator', 'User')),
  permissions text[] NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE account_custom_role (
  account_id uuid NOT NULL REFERENCES account,
  role text NOT NULL REFERENCES custom_role,
  PRIMARY KEY (account_id, role)
);
CREATE INDEX account_custom_role_role ON account_custom_role (role);

ALTER TABLE api_token
  ADD COLUMN scopes text[] NOT NULL DEFAULT '{}', -- narrow the role; empty: all of it
  ADD COLUMN custom_role text REFERENCES custom_role,
  ALTER COLUMN role DROP NOT NULL,
  ADD CHECK ((role IS NULL) <> (custom_role IS NULL));
CREATE INDEX api_token_account ON api_token (account_id);
CREATE INDEX api_token_custom_role ON api_token (custom_role) WHERE custom_role IS NOT NULL;

GRANT SELECT, INSERT, UPDATE, DELETE ON idempotency_key, custom_role, account_custom_role
  TO ringmaster_api, ringmaster_worker;
