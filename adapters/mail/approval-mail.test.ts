import { expect, test } from '@jest/globals';
import { renderCodeMail } from './approval-mail.js';

test.each([
  ['a line end', 'a\r\nBcc: eve@example.test'],
  ['a line separator', 'a\u2028Bcc: eve@example.test'],
  ['text turned round', 'a\u202eBcc: eve@example.test'],
  ['an isolate', 'a\u2067Bcc: eve@example.test'],
])('a subject shows what it is: %s becomes a blank', (_, change) => {
  const { subject } = renderCodeMail({ who: 'Ada', change, ring: 0, code: 'ABCDE-FGHJK', digest: 'd' });
  expect(subject).toBe('One-time code for a Bcc: eve@example.test');
});
