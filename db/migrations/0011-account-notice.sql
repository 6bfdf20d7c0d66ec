-- Where somebody's links and codes go is the web tier's to edit, but not in silence: the addresses there were before are
-- told, by a trigger that the web tier's role can neither switch off nor reach the outbox of.
CREATE FUNCTION account_moved() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  what text := CASE WHEN OLD.email IS DISTINCT FROM NEW.email THEN 'mail address' ELSE 'second channel' END;
  told text := 'The ' || what || ' of your Ringmaster account (' || OLD.email || ') was changed. Links or one-time codes for '
    || 'approvals may go elsewhere from now on. If you know nothing of it, tell an administrator at once.';
BEGIN
  INSERT INTO mail (key, recipient, subject, text_body, html_body)
  SELECT 'account/' || OLD.id || '/moved/' || gen_random_uuid(), address, 'Your Ringmaster account was changed', told || E'\n',
         '<p>' || replace(replace(replace(told, '&', '&amp;'), '<', '&lt;'), '>', '&gt;') || '</p>'
    FROM unnest(ARRAY[OLD.email, OLD.second_channel]) AS address WHERE address <> '' GROUP BY address;
  INSERT INTO audit_entry (actor, action, subject, detail)
  VALUES (session_user, 'account.addressChanged', 'account/' || OLD.id, jsonb_build_object('what', what));
  RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION account_moved() FROM PUBLIC;
CREATE TRIGGER account_moved AFTER UPDATE OF email, second_channel ON account FOR EACH ROW
  WHEN (OLD.email IS DISTINCT FROM NEW.email OR OLD.second_channel IS DISTINCT FROM NEW.second_channel)
  EXECUTE FUNCTION account_moved();
