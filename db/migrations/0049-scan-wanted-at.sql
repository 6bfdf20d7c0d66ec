-- When a scan was last asked for: one that had begun before answers an older question. Null: any scan will do.
ALTER TABLE endpoint ADD COLUMN scan_wanted_at timestamptz;
COMMENT ON COLUMN scan.started_at IS 'On the server''s clock; before this migration, as the agent reckoned.';
