-- W3C trace context of whoever asked, so that one trace leads from the API call through the workflow to each order. Null: not traced.
ALTER TABLE change ADD COLUMN trace text CHECK (trace ~ '^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$');
ALTER TABLE outbox ADD COLUMN trace text CHECK (trace ~ '^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$');

-- The web tier tells how many mails wait, never to whom or what they say.
GRANT SELECT (created_at, sent_at, attempts) ON mail TO ringmaster_api;
