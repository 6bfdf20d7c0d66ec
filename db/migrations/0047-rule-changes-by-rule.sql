-- Since when a rule fails somewhere, walked from the oldest change; and what began or ceased to fail lately, over the whole fleet.
CREATE INDEX rule_change_rule ON rule_change (checklist_id, position, at);
CREATE INDEX rule_change_at ON rule_change (at);
