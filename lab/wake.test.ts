import { describe, expect, test } from '@jest/globals';
import { magicPacket, wokenAddress } from './wake.js';

describe('magic packets', () => {
  const mac = '02:52:4d:4e:00:01';

  test('a packet is six 0xff and sixteen times the address', () => {
    const packet = magicPacket(mac);
    expect(packet.length).toBe(102);
    expect(packet.toString('hex')).toBe(`ffffffffffff${'02524d4e0001'.repeat(16)}`);
  });

  test.each([
    ['alone', magicPacket(mac), mac],
    ['with a password after it', Buffer.concat([magicPacket(mac), Buffer.from('secret')]), mac],
    ['after other bytes', Buffer.concat([Buffer.from('xy'), magicPacket(mac)]), mac],
    ['after one 0xff too many', Buffer.concat([Buffer.from([255]), magicPacket(mac)]), mac],
    ['cut short', magicPacket(mac).subarray(0, 101), undefined],
    ['one repetition differs', Buffer.concat([magicPacket(mac).subarray(0, 96), Buffer.alloc(6)]), undefined],
    ['empty', Buffer.alloc(0), undefined],
  ])('%s', (_, datagram, woken) => expect(wokenAddress(datagram)).toBe(woken));

  test.each(['', '02:52', 'zz:52:4d:4e:00:01', '02524d4e0001'])('%p is no address', (text) =>
    expect(() => magicPacket(text)).toThrow(RangeError),
  );
});
