import { describe, expect, it } from '@jest/globals';
import { codeMatches, looksLikeCode, oneTimeCode } from './one-time-code.js';

const key = Buffer.alloc(32, 7);
const subject = { requestId: 'r1', planDigest: 'd1', accountId: 'a1' };

describe('one-time code', () => {
  it('is right however it is typed', () => {
    const code = oneTimeCode(key, subject);
    expect(code).toMatch(/^[2-9A-Z]{5}-[2-9A-Z]{5}$/);
    for (const typed of [code, code.toLowerCase(), code.replace('-', ''), ` ${code.replace('-', ' ')} `]) {
      expect(codeMatches({ key, subject, typed })).toBe(true);
    }
  });

  it('is told from what no code could be, without the key', () => {
    expect(looksLikeCode(` ${oneTimeCode(key, subject).toLowerCase()}`)).toBe(true);
    for (const typed of ['', '123456', 'test@example.org', 'ABCDE-FGHI1', 'ABCDE-FGHJKM', 'ABCDE-FGHJ']) {
      expect(looksLikeCode(typed)).toBe(false);
    }
  });

  it('is wrong for another request, plan, person or key', () => {
    const typed = oneTimeCode(key, subject);
    for (const other of [{ requestId: 'r2' }, { planDigest: 'd2' }, { accountId: 'a2' }]) {
      expect(codeMatches({ key, subject: { ...subject, ...other }, typed })).toBe(false);
    }
    expect(codeMatches({ key: Buffer.alloc(32, 8), subject, typed })).toBe(false);
    expect(codeMatches({ key, subject, typed: '' })).toBe(false);
  });
});
