-- What an endpoint's inventory amounts to, as digests: a scan whose part is as before writes nothing of it, and planning
-- looks at one endpoint of all whose inventories are the same. Endpoints without a row are like nobody else.

CREATE TABLE inventory_digest (
  endpoint_id uuid PRIMARY KEY REFERENCES endpoint,
  packages bytea NOT NULL,
  updates bytea NOT NULL,
  services bytea NOT NULL
);
GRANT SELECT, INSERT, UPDATE ON inventory_digest TO ringmaster_api;
GRANT SELECT ON inventory_digest TO ringmaster_worker;
