import { describe, expect, test } from '@jest/globals';
import { inboxPage, parseMail } from './inbox.js';

const RAW =
  'Date: Mon, 30 Nov 2026 09:00:00 GMT\nFrom: r@x\nTo: Ada <ada@x>\nSubject: Approve <ring 1>\n\nOpen\n\nhttp://127.0.0.1:1/approvals/ab?x=1&y\n';

describe('the inbox', () => {
  test('reads what the folder sender writes', () => {
    expect(parseMail(RAW)).toEqual({
      date: 'Mon, 30 Nov 2026 09:00:00 GMT',
      to: 'Ada <ada@x>',
      subject: 'Approve <ring 1>',
      text: 'Open\n\nhttp://127.0.0.1:1/approvals/ab?x=1&y\n',
    });
  });

  test('escapes everything, and makes links of web addresses only', () => {
    const page = inboxPage(
      [{ ...parseMail(RAW), text: '<script>alert(1)</script> javascript:alert(1) http://a/"b' }],
      'a & b',
    );
    expect(page).not.toContain('<script>');
    expect(page).toContain('Approve &lt;ring 1&gt;');
    expect(page).toContain('a &amp; b');
    expect(page.match(/<a href="[^"]*"/g)).toEqual(['<a href="http://a/&quot;b"']);
  });

  test('tells an empty inbox what comes', () => {
    expect(inboxPage([], '')).toContain('No mail yet');
  });
});
