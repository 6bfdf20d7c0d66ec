-- Full results (ARF) that somebody asked for: they stay on the endpoint until then.
CREATE TABLE arf_copy (
  endpoint_id uuid NOT NULL REFERENCES endpoint,
  checklist_id int NOT NULL REFERENCES checklist,
  requested_by text NOT NULL,
  requested_at timestamptz NOT NULL,
  order_id uuid,                                 -- null: waits for the worker
  bytes bytea,                                   -- gzip; null: not here yet
  sha256 text,
  fetched_at timestamptz,
  PRIMARY KEY (endpoint_id, checklist_id)
);
CREATE INDEX arf_copy_order ON arf_copy (order_id);
GRANT SELECT, INSERT, UPDATE ON arf_copy TO ringmaster_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON arf_copy TO ringmaster_worker;
