-- Exceptions, join tokens bound to one endpoint, and what lists by endpoint need.

-- Until it expires or is revoked, the updates it names are declined on the endpoints it selects.
CREATE TABLE exception (
  id uuid PRIMARY KEY,
  selector jsonb NOT NULL,                       -- domain/fleet/selector.ts: endpoints, a group, or anything else
  package text,                                  -- of a package or source; * stands for any run of characters
  cve text,
  reason text NOT NULL,
  owner uuid NOT NULL REFERENCES account,        -- who answers for it
  approved_by text NOT NULL,                     -- who granted it, or extended it last: never its owner
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  revoked_at timestamptz,
  revoked_by text,
  CHECK ((package IS NULL) <> (cve IS NULL)),
  CHECK (expires_at > created_at)
);
CREATE INDEX exception_in_force ON exception (expires_at) WHERE revoked_at IS NULL;
GRANT SELECT, INSERT, UPDATE ON exception TO ringmaster_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON exception TO ringmaster_worker;

ALTER TABLE join_token
  ADD COLUMN revoked_at timestamptz,
  ADD COLUMN endpoint_id uuid REFERENCES endpoint, -- whoever uses it takes over this endpoint, and becomes no new one
  ADD COLUMN endpoint_state text;                -- its state when the token was made: in another the token is void
ALTER TABLE endpoint
  ADD COLUMN identity_since timestamptz;         -- when a machine took it over; scans from before say nothing of this one
CREATE INDEX endpoint_machine ON endpoint (machine_id);

CREATE INDEX order_endpoint ON order_state (endpoint_id);
CREATE INDEX audit_subject ON audit_entry (subject, id);
