/** The least a claim and a result per endpoint can cost here: two updates, each its own durable commit, nothing around them. */
import type pg from 'pg';

const ROWS = 2_000;
const CLIENTS = 4;

/** @returns endpoints per second, on the same server and in the same run as what it is compared with. */
export async function bareLoop(pool: pg.Pool): Promise<number> {
  await pool.query(
    'CREATE TABLE bench_bare (id int PRIMARY KEY, state text NOT NULL, at timestamptz) WITH (fillfactor = 70)',
  );
  try {
    await pool.query(`INSERT INTO bench_bare SELECT n, 'pending', NULL FROM generate_series(1, $1::int) n`, [ROWS]);
    let next = 1;
    const began = performance.now();
    await Promise.all(
      Array.from({ length: CLIENTS }, async () => {
        for (let id = next++; id <= ROWS; id = next++) {
          await pool.query({
            name: 'claim',
            text: `UPDATE bench_bare SET state = 'claimed', at = now() WHERE id = $1`,
            values: [id],
          });
          await pool.query({
            name: 'result',
            text: `UPDATE bench_bare SET state = 'done', at = now() WHERE id = $1`,
            values: [id],
          });
        }
      }),
    );
    return ROWS / ((performance.now() - began) / 1_000);
  } finally {
    await pool.query('DROP TABLE bench_bare');
  }
}
