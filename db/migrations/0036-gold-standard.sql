-- An endpoint as it was at one moment, for others to be compared with.
CREATE TABLE gold_standard (
  id uuid PRIMARY KEY,
  name text NOT NULL UNIQUE,
  endpoint_id uuid NOT NULL REFERENCES endpoint,
  results jsonb NOT NULL,                        -- by checklist id, as in assessment.results
  packages jsonb NOT NULL,                       -- version by "name:arch"
  services jsonb NOT NULL,                       -- names of units that were active, and of listeners
  captured_by text NOT NULL,
  captured_at timestamptz NOT NULL
);
GRANT SELECT, INSERT, UPDATE, DELETE ON gold_standard TO ringmaster_api;
GRANT SELECT ON gold_standard TO ringmaster_worker;
