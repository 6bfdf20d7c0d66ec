-- Least privilege: the web tier can neither sign, nor release, nor write what a workflow owns. The roles themselves are
-- made by whoever makes the database (`ringmaster up`, an operator's script); here they only get their rights.
DO $$
DECLARE r text;
BEGIN
  FOREACH r IN ARRAY ARRAY['ringmaster_api', 'ringmaster_worker'] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = r) THEN
      EXECUTE format('CREATE ROLE %I NOLOGIN', r);
    END IF;
  END LOOP;
END $$;

GRANT USAGE ON SCHEMA public TO ringmaster_api, ringmaster_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO ringmaster_worker;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO ringmaster_worker, ringmaster_api;

GRANT SELECT ON ALL TABLES IN SCHEMA public TO ringmaster_api;
GRANT INSERT, UPDATE, DELETE ON join_token, endpoint, stakeholder, endpoint_group, scan, installed_package, available_update,
  endpoint_service, policy_set, freeze_calendar, repository, quorum_group, quorum_member, account, role_grant, api_token,
  web_session, update_fact TO ringmaster_api;
GRANT INSERT ON change, outbox, audit_entry, order_event TO ringmaster_api;
-- A decision comes in as submitted; whether it counts is written by the worker alone.
GRANT INSERT (id, request_id, account_id, decision, comment, plan_digest, proof, code, decided_at)
  ON approval_decision TO ringmaster_api;
-- Stops are rows; everything else about a change and its rings belongs to the worker.
GRANT UPDATE (halted, halt_verb, halted_by) ON change TO ringmaster_api;
GRANT UPDATE (halted, halt_reason, halted_by, halted_at) ON ring TO ringmaster_api;
-- Reports move orders that were released; the web tier cannot insert one.
GRANT UPDATE ON order_state TO ringmaster_api;
REVOKE UPDATE, DELETE ON audit_entry FROM ringmaster_worker;
GRANT UPDATE (sealed, previous_hash, hash) ON audit_entry TO ringmaster_worker;
-- One-time codes and key sets are none of the web tier's business beyond reading the public key set.
REVOKE SELECT ON mail FROM ringmaster_api;
