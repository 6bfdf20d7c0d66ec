-- What people marked as wrong is carried over to the next checklist of the same baseline, by the worker, which decides what holds.
GRANT INSERT ON false_positive TO ringmaster_worker;
CREATE INDEX false_positive_endpoint ON false_positive (endpoint_id);

-- And what was lost so far, where another version or tailoring holds by now.
INSERT INTO false_positive (checklist_id, position, endpoint_id, reason, marked_by, marked_at)
SELECT DISTINCT ON (t.endpoint_id, t.checklist_id, r.position) t.checklist_id, r.position, t.endpoint_id, f.reason, f.marked_by, f.marked_at
  FROM assessment_target t JOIN false_positive f ON f.endpoint_id = t.endpoint_id AND f.checklist_id <> t.checklist_id
  JOIN checklist_rule o ON o.checklist_id = f.checklist_id AND o.position = f.position
  JOIN checklist_rule r ON r.checklist_id = t.checklist_id AND r.rule_id = o.rule_id
  JOIN checklist k ON k.id = t.checklist_id JOIN baseline_version v ON v.id = k.version_id
  JOIN checklist ok ON ok.id = f.checklist_id JOIN baseline_version ov ON ov.id = ok.version_id AND ov.baseline_id = v.baseline_id
 ORDER BY t.endpoint_id, t.checklist_id, r.position, f.marked_at DESC
ON CONFLICT (checklist_id, position, endpoint_id) DO NOTHING;
