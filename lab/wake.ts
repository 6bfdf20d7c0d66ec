// Wake-on-LAN: the magic packet, and the ear of powered-off network cards.
import { createSocket } from 'node:dgram';

/** The port magic packets are customarily sent to (discard). */
export const wakePort = 9;

/** Six bytes of 0xff, then the address sixteen times. `mac` like "02:52:4d:4e:00:01". @throws RangeError on another form */
export function magicPacket(mac: string): Buffer {
  if (!/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(mac)) throw new RangeError(`not a MAC address: ${JSON.stringify(mac)}`);
  const address = Buffer.from(mac.replaceAll(':', ''), 'hex');
  return Buffer.concat([Buffer.alloc(6, 0xff), ...Array.from({ length: 16 }, () => address)]);
}

/** The address a datagram wakes, lower case with colons, wherever in it the packet is; undefined when it wakes nobody. */
export function wokenAddress(datagram: Buffer): string | undefined {
  for (let at = datagram.indexOf(Buffer.alloc(6, 0xff)); at >= 0 && at + 102 <= datagram.length; at++) {
    const mac = datagram
      .subarray(at + 6, at + 12)
      .toString('hex')
      .replace(/..(?=.)/g, '$&:');
    if (datagram.subarray(at, at + 102).equals(magicPacket(mac))) return mac;
  }
  return undefined;
}

/** Sends a magic packet to everyone on the network `broadcast` belongs to, from the interface that has `from`. */
export async function sendMagicPacket(to: { mac: string; broadcast: string; from: string }): Promise<void> {
  const socket = createSocket('udp4');
  try {
    await new Promise<void>((done, fail) => {
      socket.once('error', fail);
      socket.bind(0, to.from, () => {
        socket.setBroadcast(true);
        socket.send(magicPacket(to.mac), wakePort, to.broadcast, (error) => (error ? fail(error) : done()));
      });
    });
  } finally {
    socket.close();
  }
}

export type WakeListener = { close(): Promise<void> };

/** Hears every magic packet broadcast on the bridge and tells `onWake` whom it is for. */
export async function listenForWake(broadcast: string, onWake: (mac: string) => void): Promise<WakeListener> {
  const socket = createSocket('udp4');
  socket.on('message', (datagram) => {
    const mac = wokenAddress(datagram);
    if (mac !== undefined) onWake(mac);
  });
  await new Promise<void>((done, fail) => {
    socket.once('error', fail);
    socket.bind(wakePort, broadcast, done);
  });
  return { close: () => new Promise((done) => socket.close(() => done())) };
}
