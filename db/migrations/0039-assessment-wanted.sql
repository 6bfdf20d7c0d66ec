-- Looked at every second; the whole list of targets only now and then.
CREATE INDEX assessment_target_wanted ON assessment_target (wanted_at) WHERE wanted_at IS NOT NULL;
