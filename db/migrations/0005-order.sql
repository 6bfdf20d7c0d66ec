-- One narrow row per order; events and signed envelopes apart (design §4). `phase` changes at most twice in an order's
-- life, so the updates between (released … verifying) touch no index and stay HOT.

CREATE TABLE order_state (
  id uuid PRIMARY KEY,
  change_id uuid REFERENCES change,              -- null: a scan asked for outside any change
  ring smallint NOT NULL,                        -- the lane it is pumped in; 1000 = stragglers
  home_ring smallint NOT NULL,                   -- the ring it was planned in
  endpoint_id uuid NOT NULL REFERENCES endpoint,
  kind text NOT NULL CHECK (kind IN ('scan', 'stage', 'change', 'revert')),
  attempt smallint NOT NULL DEFAULT 1,
  priority smallint NOT NULL DEFAULT 0,
  wave smallint NOT NULL DEFAULT 0,
  phase text NOT NULL DEFAULT 'waiting' CHECK (phase IN ('waiting', 'holding', 'done')),
  state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'released', 'offered', 'accepted', 'staged', 'applying',
    'awaitingReboot', 'rebooting', 'verifying', 'succeeded', 'failed', 'reverting', 'reverted', 'revertFailed', 'stalled',
    'expired', 'skipped', 'withdrawn', 'superseded')),
  resume_from text,
  seq int NOT NULL DEFAULT 0,
  permit_until timestamptz,
  next_open timestamptz,                         -- the window resolved for it; null with reason: none
  next_close timestamptz,                        -- the close already less the expected time: the last start
  window_closes timestamptz,                     -- the close itself: a reboot must begin before it
  window_kept boolean,                           -- whether it began between opening and last start; null: not begun
  window_reason text,
  straggler_reason text,
  content_digest text,                           -- update set, or the order it reverts for a revert order
  reverts uuid REFERENCES order_state,
  retried boolean NOT NULL DEFAULT false,        -- a later attempt took its place: budgets and gates count that one
  outcome text,
  reason text,
  released_at timestamptz,
  started_at timestamptz,
  settled_at timestamptz,
  updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX order_one_mutating ON order_state (endpoint_id) WHERE phase = 'holding' AND kind IN ('change', 'revert');
CREATE UNIQUE INDEX order_once ON order_state (change_id, endpoint_id, kind, attempt);
CREATE INDEX order_lane ON order_state (change_id, ring, kind);
CREATE INDEX order_queue ON order_state (change_id, ring, kind, wave, id) WHERE phase = 'waiting';
CREATE INDEX order_working ON order_state (change_id, ring, kind) WHERE phase = 'holding';
CREATE INDEX order_reverts ON order_state (reverts) WHERE reverts IS NOT NULL;
CREATE INDEX order_open ON order_state (endpoint_id) WHERE phase <> 'done';

CREATE TABLE order_event (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  order_id uuid NOT NULL,
  at timestamptz NOT NULL DEFAULT now(),
  actor text NOT NULL CHECK (actor IN ('server', 'agent', 'person')),
  event text NOT NULL,
  seq int,
  from_state text NOT NULL,
  to_state text NOT NULL,
  detail jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX order_event_order ON order_event (order_id, id);

-- Signed by the worker; the web tier hands them out and cannot make them (DSSE envelopes, protocol/envelope.ts).
CREATE TABLE order_envelope (
  order_id uuid PRIMARY KEY REFERENCES order_state,
  envelope jsonb NOT NULL,
  signed_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE order_permit (
  order_id uuid PRIMARY KEY REFERENCES order_state,
  envelope jsonb NOT NULL,
  start_by timestamptz NOT NULL,
  signed_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE key_set (
  version int PRIMARY KEY,
  envelope jsonb NOT NULL,                       -- signed by the offline root
  stored_at timestamptz NOT NULL DEFAULT now()
);
