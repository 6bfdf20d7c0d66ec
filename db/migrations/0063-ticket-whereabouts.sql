-- Tickets that are not where they were: moved to another queue, merged into another, deleted, or not to be seen any more. And who listens when.

ALTER TABLE ticket DROP CONSTRAINT ticket_attention_check,
  ADD CONSTRAINT ticket_attention_check
    CHECK (attention IN ('closedByHand', 'reopenedByHand', 'movedByHand', 'mergedByHand', 'deletedByHand', 'unseen')),
  ADD COLUMN attention_about text,               -- where it is now, as far as is known: the queue, the other ticket
  ADD COLUMN located_at timestamptz;             -- when it was last looked whether it is where it was; null: never

-- What is looked at next: the one nobody has looked at for longest.
CREATE INDEX ticket_located ON ticket (system_id, located_at NULLS FIRST) WHERE ref IS NOT NULL AND wanted = 'open';

ALTER TABLE ticket_system_state ADD COLUMN hear_after timestamptz; -- a worker listens; the next time is then

-- As before (0040), and where it is.
CREATE OR REPLACE FUNCTION feed_ticket() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  PERFORM feed('ticket.' || NEW.attention, coalesce(NEW.change_id, (SELECT change_id FROM work_item WHERE id = NEW.work_item_id)),
               jsonb_build_object('ticketId', NEW.id, 'ref', NEW.ref, 'url', NEW.url, 'by', NEW.attention_by, 'about', NEW.attention_about));
  RETURN NULL;
END $$;
