-- What began or ceased to fail lately. Rows come in the order of their time, so a summary per range of pages is enough and costs writers nothing.
CREATE INDEX rule_change_at ON rule_change USING brin (at) WITH (pages_per_range = 32, autosummarize = on);
