-- Agents that update themselves: what each said it is, and the releases there are to give them.
ALTER TABLE endpoint ADD COLUMN agent jsonb;       -- protocol/messages.ts: version, protocol, providers; null: it never said

CREATE TABLE agent_release (
  version text PRIMARY KEY,
  sha256 text NOT NULL,
  size bigint NOT NULL,
  published_at timestamptz NOT NULL DEFAULT now()
);
GRANT SELECT, INSERT, UPDATE ON agent_release TO ringmaster_worker;
GRANT SELECT ON agent_release TO ringmaster_api;
