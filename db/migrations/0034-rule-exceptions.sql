-- Exceptions for rules of baselines as for updates; and findings that people say are wrong.
ALTER TABLE exception ADD COLUMN rule text;      -- id or short name of a rule; * stands for any run of characters
ALTER TABLE exception DROP CONSTRAINT exception_check;
ALTER TABLE exception ADD CONSTRAINT exception_one_target CHECK (num_nonnulls(package, cve, rule) = 1);

CREATE TABLE false_positive (
  checklist_id int NOT NULL REFERENCES checklist,
  position smallint NOT NULL,
  endpoint_id uuid NOT NULL REFERENCES endpoint,
  reason text NOT NULL,
  marked_by text NOT NULL,
  marked_at timestamptz NOT NULL,
  PRIMARY KEY (checklist_id, position, endpoint_id)
);
GRANT SELECT, INSERT, UPDATE, DELETE ON false_positive TO ringmaster_api;
GRANT SELECT ON false_positive TO ringmaster_worker;
