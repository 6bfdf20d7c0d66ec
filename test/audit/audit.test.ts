import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { appendAudit } from '../../db/audit/append.js';
import { sealAudit } from '../../db/audit/seal.js';
import { verifyAudit } from '../../db/audit/verify.js';
import { createDatabase, type TestDatabase } from '../helpers/postgres.js';

let db: TestDatabase;
beforeAll(async () => {
  db = await createDatabase();
});
afterAll(() => db?.drop());

const entries = (n: number, actor = 'ada') =>
  Array.from({ length: n }, (_, i) => ({
    actor,
    action: 'test',
    subject: `thing/${i}`,
    detail: { i, nested: { b: 1.5, a: [null, 'ü'] } },
  }));

describe('the audit log', () => {
  it('seals what concurrent writers commit into one chain that holds', async () => {
    await Promise.all(Array.from({ length: 8 }, (_, n) => appendAudit(db.pool, entries(25, `writer-${n}`))));
    expect((await verifyAudit(db.pool)).unsealed).toBe(200);
    const sealed = await Promise.all([sealAudit(db.pool), sealAudit(db.pool), sealAudit(db.pool)]);
    while ((await sealAudit(db.pool)) > 0);
    expect(sealed.reduce((a, b) => a + b)).toBeGreaterThan(0);
    expect(await verifyAudit(db.pool, 37)).toMatchObject({ unsealed: 0, check: { ok: true, entries: 200 } });
  });

  it('lets nobody change or remove an entry', async () => {
    await expect(db.pool.query(`UPDATE audit_entry SET actor = 'mallory' WHERE sealed = 5`)).rejects.toThrow(
      'append-only',
    );
    await expect(db.pool.query('DELETE FROM audit_entry WHERE sealed = 5')).rejects.toThrow('append-only');
    await expect(db.pool.query('TRUNCATE audit_entry')).rejects.toThrow('append-only');
  });

  it('shows it when somebody does so all the same, past the trigger', async () => {
    await db.pool.query('ALTER TABLE audit_entry DISABLE TRIGGER ALL');
    await db.pool.query(`UPDATE audit_entry SET detail = '{"i": 99}' WHERE sealed = 123`);
    expect((await verifyAudit(db.pool)).check).toEqual({
      ok: false,
      at: 123,
      reason: 'content does not match its hash',
    });
    await db.pool.query('DELETE FROM audit_entry WHERE sealed = 60');
    expect((await verifyAudit(db.pool)).check).toMatchObject({ ok: false, at: 60 });
  });
});
