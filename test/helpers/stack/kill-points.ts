/**
 * Moments to kill at, made in the database by test-only triggers: the transaction that inserts a certain event stands still
 * before its commit until it is let go or its process is gone. Production code knows nothing of it.
 */
import type pg from 'pg';

const SETUP = `
  CREATE SCHEMA IF NOT EXISTS kill_point;
  GRANT USAGE ON SCHEMA kill_point TO PUBLIC;
  CREATE TABLE IF NOT EXISTS kill_point.armed (event text NOT NULL, change_id uuid NOT NULL, PRIMARY KEY (event, change_id));
  GRANT SELECT ON kill_point.armed TO PUBLIC;
  CREATE OR REPLACE FUNCTION kill_point.stand_still(wanted text, change uuid) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
  BEGIN
    WHILE EXISTS (SELECT FROM kill_point.armed a WHERE a.event = wanted AND a.change_id = change) LOOP
      PERFORM set_config('application_name', left('kill-point ' || wanted || ' ' || change, 63), true);
      PERFORM pg_sleep(0.05);
    END LOOP;
  END $$;
  CREATE OR REPLACE FUNCTION kill_point.on_event() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
  BEGIN
    IF EXISTS (SELECT FROM kill_point.armed) THEN
      PERFORM kill_point.stand_still(NEW.event, (SELECT o.change_id FROM public.order_state o WHERE o.id = NEW.order_id));
    END IF;
    RETURN NULL;
  END $$;
  CREATE OR REPLACE FUNCTION kill_point.on_order() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
  BEGIN
    IF EXISTS (SELECT FROM kill_point.armed) THEN PERFORM kill_point.stand_still('insert ' || NEW.kind, NEW.change_id); END IF;
    RETURN NULL;
  END $$;
  CREATE OR REPLACE FUNCTION kill_point.on_decision() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
  BEGIN
    IF EXISTS (SELECT FROM kill_point.armed) THEN
      PERFORM kill_point.stand_still('decision ' || NEW.state,
        (SELECT r.change_id FROM public.approval_request r WHERE r.id = NEW.request_id));
    END IF;
    RETURN NULL;
  END $$;
  DROP TRIGGER IF EXISTS kill_point ON order_event;
  CREATE TRIGGER kill_point AFTER INSERT ON order_event FOR EACH ROW EXECUTE FUNCTION kill_point.on_event();
  DROP TRIGGER IF EXISTS kill_point ON order_state;
  CREATE TRIGGER kill_point AFTER INSERT ON order_state FOR EACH ROW EXECUTE FUNCTION kill_point.on_order();
  DROP TRIGGER IF EXISTS kill_point ON approval_decision;
  CREATE TRIGGER kill_point AFTER INSERT OR UPDATE ON approval_decision FOR EACH ROW EXECUTE FUNCTION kill_point.on_decision();`;

/** `release`, `offer`, `permit`, `apply` …: an event of an order; `insert revert`: an order; `decision counted`: a judgement. */
export type KillPoint = string;

export async function prepareKillPoints(pool: pg.Pool): Promise<void> {
  await pool.query(SETUP);
}

/** From now on transactions of this change that insert the event stand still before their commit. */
export async function arm(pool: pg.Pool, at: { readonly event: KillPoint; readonly changeId: string }): Promise<void> {
  await pool.query('INSERT INTO kill_point.armed (event, change_id) VALUES ($1, $2) ON CONFLICT DO NOTHING', [
    at.event,
    at.changeId,
  ]);
}

/** Lets go whatever stands still. */
export async function disarm(pool: pg.Pool): Promise<void> {
  await pool.query('DELETE FROM kill_point.armed');
}

/** Whether a transaction stands still at this point now. */
export async function standsStill(
  pool: pg.Pool,
  at: { readonly event: KillPoint; readonly changeId: string },
): Promise<boolean> {
  const { rows } = await pool.query(
    `SELECT 1 FROM pg_stat_activity WHERE application_name = left('kill-point ' || $1 || ' ' || $2::text, 63) AND state = 'active'`,
    [at.event, at.changeId],
  );
  return rows.length > 0;
}
