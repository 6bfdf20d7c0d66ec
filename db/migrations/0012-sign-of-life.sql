-- Endpoints with a wake-up channel are told to ask rarely. Before one of those counts as offline it is asked to say something.
ALTER TABLE order_state ADD COLUMN asked_at timestamptz;
