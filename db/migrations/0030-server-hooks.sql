-- Hooks that run on the server gate an order: no permit is signed until those before it have succeeded (design §4). One row per
-- order whose policy has any; the narrow table of orders stays as it is.
CREATE TABLE order_gate (
  order_id uuid PRIMARY KEY REFERENCES order_state,
  endpoint_id uuid NOT NULL REFERENCES endpoint,
  -- shut: hooks before it are due; open: they succeeded; closing: not begun after all, hooks after it are due; done
  state text NOT NULL DEFAULT 'shut' CHECK (state IN ('shut', 'open', 'closing', 'done')),
  round smallint NOT NULL DEFAULT 1,             -- counts on when an order that did not begin in its window is gated again
  begun_at timestamptz,                          -- of this round: from here on hooks after it must run
  lease_until timestamptz,                       -- a worker is at it
  updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX order_gate_due ON order_gate (order_id) WHERE state <> 'done';
CREATE INDEX order_gate_away ON order_gate (endpoint_id) WHERE state <> 'done' AND begun_at IS NOT NULL;

-- What each hook said, once and for all: a hook that ended is not run again in its round.
CREATE TABLE hook_run (
  order_id uuid NOT NULL REFERENCES order_gate,
  round smallint NOT NULL,
  moment text NOT NULL CHECK (moment IN ('before', 'after')),
  position smallint NOT NULL,
  name text NOT NULL,
  sha256 text NOT NULL,
  ok boolean NOT NULL,
  ignored boolean NOT NULL,
  problem text,
  ended_at timestamptz NOT NULL,
  PRIMARY KEY (order_id, round, moment, position)
);

GRANT SELECT, INSERT, UPDATE, DELETE ON order_gate, hook_run TO ringmaster_worker;
GRANT SELECT ON order_gate, hook_run TO ringmaster_api;
