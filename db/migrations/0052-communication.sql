-- When endpoints may be talked with, for those whose policy set says when. No row: always. Written by the worker, policy by policy.

CREATE TABLE communication_window (
  endpoint_id uuid PRIMARY KEY REFERENCES endpoint,
  opens timestamptz,                             -- the window open now, else the next; null: never
  closes timestamptz,                            -- past: not resolved since, and so shut
  later_opens timestamptz,                        -- the one after it; null: none is known
  later_closes timestamptz,
  reason text,                                   -- why never
  CHECK ((opens IS NULL) = (closes IS NULL) AND (later_opens IS NULL) = (later_closes IS NULL))
);
GRANT SELECT ON communication_window TO ringmaster_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON communication_window TO ringmaster_worker;
