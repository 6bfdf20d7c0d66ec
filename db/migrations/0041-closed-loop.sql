-- The closed loop (docs/closed-loop.md): what each change was authorised to do and did, and package changes that no change explains.

-- What a scan found different from the scan before, until a worker has compared it with the orders of that time. What an order
-- explains is thrown away; the rest stays. Written by triggers: whatever writes an inventory, it is seen.
CREATE TABLE package_change (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  endpoint_id uuid NOT NULL REFERENCES endpoint,
  name text NOT NULL,
  arch text NOT NULL,
  from_version text,                             -- null: was not installed
  to_version text,                               -- null: is gone
  scan_id uuid NOT NULL,                         -- that found it
  since timestamptz,                             -- the scan before: it happened after that
  at timestamptz,                                -- the scan's arrival: it happened before that; null: not judged yet
  explained_by text,                             -- a person has said what it was
  explained_at timestamptz,
  explanation text
);
CREATE INDEX package_change_new ON package_change (id) WHERE at IS NULL;
CREATE INDEX package_change_found ON package_change (at DESC, scan_id DESC) WHERE at IS NOT NULL;
CREATE INDEX package_change_scan ON package_change (scan_id);
CREATE INDEX package_change_endpoint ON package_change (endpoint_id);

-- The first scan of a machine finds everything, and that is no change.
CREATE FUNCTION package_added() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  INSERT INTO package_change (endpoint_id, name, arch, to_version, scan_id)
  SELECT n.endpoint_id, n.name, n.arch, n.version, n.scan_id
    FROM (SELECT DISTINCT endpoint_id, scan_id FROM added) one JOIN endpoint e ON e.id = one.endpoint_id
    JOIN added n ON n.endpoint_id = one.endpoint_id AND n.scan_id = one.scan_id
   WHERE EXISTS (SELECT FROM scan s WHERE s.endpoint_id = one.endpoint_id AND s.complete AND s.id <> one.scan_id
                    AND s.received_at >= coalesce(e.identity_since, '-infinity'));
  RETURN NULL;
END $$;
CREATE TRIGGER package_added AFTER INSERT ON installed_package REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION package_added();

CREATE FUNCTION package_moved() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  INSERT INTO package_change (endpoint_id, name, arch, from_version, to_version, scan_id)
  SELECT n.endpoint_id, n.name, n.arch, o.version, n.version, n.scan_id
    FROM moved n JOIN was o ON o.endpoint_id = n.endpoint_id AND o.name = n.name AND o.arch = n.arch JOIN endpoint e ON e.id = n.endpoint_id
   WHERE o.version <> n.version
     AND EXISTS (SELECT FROM scan s WHERE s.endpoint_id = n.endpoint_id AND s.complete AND s.id <> n.scan_id
                    AND s.received_at >= coalesce(e.identity_since, '-infinity'));
  RETURN NULL;
END $$;
CREATE TRIGGER package_moved AFTER UPDATE ON installed_package REFERENCING OLD TABLE AS was NEW TABLE AS moved
  FOR EACH STATEMENT EXECUTE FUNCTION package_moved();

CREATE FUNCTION package_gone() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  INSERT INTO package_change (endpoint_id, name, arch, from_version, scan_id)
  SELECT g.endpoint_id, g.name, g.arch, g.version, last.id
    FROM (SELECT DISTINCT endpoint_id FROM gone) one JOIN endpoint e ON e.id = one.endpoint_id
    -- The scan that does not find it any more came in with this very transaction.
    CROSS JOIN LATERAL (SELECT s.id FROM scan s WHERE s.endpoint_id = one.endpoint_id AND s.complete ORDER BY s.received_at DESC LIMIT 1) last
    JOIN gone g ON g.endpoint_id = one.endpoint_id
   WHERE EXISTS (SELECT FROM scan s WHERE s.endpoint_id = one.endpoint_id AND s.complete AND s.id <> last.id
                    AND s.received_at >= coalesce(e.identity_since, '-infinity'));
  RETURN NULL;
END $$;
CREATE TRIGGER package_gone AFTER DELETE ON installed_package REFERENCING OLD TABLE AS gone
  FOR EACH STATEMENT EXECUTE FUNCTION package_gone();

REVOKE ALL ON FUNCTION package_added(), package_moved(), package_gone() FROM PUBLIC;

-- What became of a change once it has closed, counted once: a page of closed changes must not count a hundred thousand orders each time.
CREATE TABLE change_loop (
  change_id uuid PRIMARY KEY REFERENCES change,
  facts jsonb NOT NULL,
  counted_at timestamptz NOT NULL
);

GRANT SELECT, INSERT, UPDATE, DELETE ON package_change, change_loop TO ringmaster_worker;
GRANT SELECT ON package_change, change_loop TO ringmaster_api;
GRANT UPDATE (explained_by, explained_at, explanation) ON package_change TO ringmaster_api;
