-- What an endpoint's inventory amounts to, as digests: a scan whose part is as before writes nothing of it, and planning
-- looks at one endpoint of all whose inventories are the same. They hold only while `scan_id` is the endpoint's last complete
-- scan: a server of the release before stores scans and knows nothing of this table. Endpoints without digests that hold are
-- like nobody else.

CREATE TABLE inventory_digest (
  endpoint_id uuid PRIMARY KEY REFERENCES endpoint,
  scan_id uuid NOT NULL,
  packages bytea NOT NULL,
  updates bytea NOT NULL,
  services bytea NOT NULL
);
GRANT SELECT, INSERT, UPDATE ON inventory_digest TO ringmaster_api;
GRANT SELECT ON inventory_digest TO ringmaster_worker;
