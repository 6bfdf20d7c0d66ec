-- Work for people that results of rules settle: critical drift, and failed endpoints of remediations (docs/tickets.md).

-- The scan order that the newest results came by: work is judged by it once, and says what it was proven by.
ALTER TABLE assessment ADD COLUMN order_id uuid;

-- Which checklists have the rule that drifted.
CREATE INDEX checklist_rule_id ON checklist_rule (rule_id, checklist_id);
-- What was noticed of the same thing before and since.
CREATE INDEX noticed_subject ON noticed (endpoint_id, kind, name, id);

-- What was counted of closed changes is counted anew: it says now what their scans were of, and rules are confirmed by rules.
DELETE FROM change_loop;
