/** What listens on this host, straight from the kernel's tables: nothing needs to be installed for it. */
import { readlinkSync } from 'node:fs';
import type { InventoryRequest } from '../../protocol/messages.js';
import { listOrNone, readOr } from '../system/lenient-reads.js';

export type Listener = InventoryRequest['listeners'][number];

const TABLES = [
  { file: 'tcp', protocol: 'tcp', state: '0A' },
  { file: 'tcp6', protocol: 'tcp', state: '0A' },
  // UDP knows no listening; an unconnected socket is what waits for packets.
  { file: 'udp', protocol: 'udp', state: '07' },
  { file: 'udp6', protocol: 'udp', state: '07' },
] as const;

/** Listening sockets; `process` is filled in where we may see whose they are. */
export function readListeners(options: { readonly withProcesses?: boolean; readonly proc?: string } = {}): Listener[] {
  const proc = options.proc ?? '/proc';
  const owners = options.withProcesses === true ? socketOwners(proc) : new Map<string, string>();
  const found = TABLES.flatMap(({ file, protocol, state }) =>
    parseTable(readOr(`${proc}/net/${file}`))
      .filter((row) => row.state === state)
      .map(({ address, port, inode }) => ({ protocol, address, port, process: owners.get(inode) ?? null })),
  );
  const unique = new Map(found.map((l) => [`${l.protocol} ${l.address} ${l.port}`, l]));
  return [...unique.values()].sort((a, b) => a.port - b.port || (a.address < b.address ? -1 : 1)).slice(0, 5_000);
}

/** Rows of /proc/net/{tcp,udp}[6] (proc_pid_net(5)): addresses are hex in the kernel's own byte order, per 32 bits. */
export function parseTable(text: string): { address: string; port: number; state: string; inode: string }[] {
  return text
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const columns = line.trim().split(/\s+/);
      const [address, port] = (columns[1] ?? '').split(':');
      if (address === undefined || port === undefined || !/^([0-9A-F]{8}){1,4}$/.test(address)) return [];
      return [
        {
          address: addressOf(address),
          port: Number.parseInt(port, 16),
          state: columns[3] ?? '',
          inode: columns[9] ?? '',
        },
      ];
    });
}

function addressOf(hex: string): string {
  const words = hex.match(/.{8}/g) ?? [];
  const bytes = words.flatMap((word) => (word.match(/../g) ?? []).map((b) => Number.parseInt(b, 16)).reverse());
  if (bytes.length === 4) return bytes.join('.');
  const groups = Array.from({ length: 8 }, (_, i) =>
    (((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0)).toString(16),
  );
  return groups.every((g) => g === '0') ? '::' : groups.join(':').replace(/^(0:){7}/, '::');
}

function socketOwners(proc: string): Map<string, string> {
  const owners = new Map<string, string>();
  for (const pid of listOrNone(proc).filter((name) => /^\d+$/.test(name))) {
    for (const fd of listOrNone(`${proc}/${pid}/fd`)) {
      const inode = /^socket:\[(\d+)\]$/.exec(linkOr(`${proc}/${pid}/fd/${fd}`))?.[1];
      if (inode !== undefined) owners.set(inode, readOr(`${proc}/${pid}/comm`).trim() || pid);
    }
  }
  return owners;
}

function linkOr(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
