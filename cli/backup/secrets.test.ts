import { expect, test } from '@jest/globals';
import { openSecrets, sealSecrets } from './secrets.js';

const files = {
  'keys/worker/root.pem': Buffer.from('-----BEGIN PRIVATE KEY-----'),
  'keys/codes.key': Buffer.from([0, 255, 10]),
};
const sealed = sealSecrets(files, 'a long enough passphrase');

test('what was sealed comes back, byte for byte, and shows nothing of itself', () => {
  expect(openSecrets(sealed, 'a long enough passphrase')).toEqual(files);
  expect(sealed).not.toContain('PRIVATE');
  expect(sealed).not.toContain('root.pem');
});

test.each(['salt', 'iv', 'tag', 'data'])('a changed %s is noticed', (field) => {
  const box = JSON.parse(sealed);
  const bytes = Buffer.from(box[field], 'base64');
  bytes[0] = (bytes[0] ?? 0) ^ 1;
  const changed = JSON.stringify({ ...box, [field]: bytes.toString('base64') });
  expect(() => openSecrets(changed, 'a long enough passphrase')).toThrow('the passphrase is not the one');
});

test('a file may not leave the installation', () => {
  const out = sealSecrets({ '../etc/passwd': Buffer.from('x') }, 'a long enough passphrase');
  expect(() => openSecrets(out, 'a long enough passphrase')).toThrow();
});
