-- Since when a trial of an assignment runs: what ended before says nothing about it.
ALTER TABLE baseline_assignment ADD COLUMN trial_since timestamptz;   -- null: there is none
UPDATE baseline_assignment SET trial_since = edited_at WHERE trial IS NOT NULL;
