-- A person may say what a rule's change outside of any change was, as of packages (docs/closed-loop.md).
ALTER TABLE rule_change ADD COLUMN explained_by text, ADD COLUMN explained_at timestamptz, ADD COLUMN explanation text;
GRANT UPDATE (explained_by, explained_at, explanation) ON rule_change TO ringmaster_api;

-- The list is walked from the newest.
CREATE INDEX rule_change_unexplained_newest ON rule_change (id) WHERE change_id IS NULL;
