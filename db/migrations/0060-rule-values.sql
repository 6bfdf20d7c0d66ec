-- Which values a rule of a checklist is tested and fixed with, so that two checklists of one endpoint that want different things of a rule are
-- found. Filled in for earlier checklists by reading their fixes anew (worker/baseline-duty.ts).
ALTER TABLE checklist_rule ADD COLUMN vals jsonb NOT NULL DEFAULT '{}';   -- text by value id
CREATE INDEX checklist_rule_by_id ON checklist_rule (checklist_id, rule_id);
