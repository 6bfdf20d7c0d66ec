import type { InventoryRequest } from '../../protocol/messages.js';

export interface ServiceRow {
  readonly kind: 'unit' | 'listener';
  readonly name: string;
  readonly detail: Readonly<Record<string, unknown>>;
}

/**
 * What a scan says of services, as rows. A process may listen twice under one name (a socket per family): the last one told
 * stands for it.
 */
export function servicesOf(scan: InventoryRequest): readonly ServiceRow[] {
  const rows = new Map<string, ServiceRow>();
  for (const { name, active } of scan.services) rows.set(`unit ${name}`, { kind: 'unit', name, detail: { active } });
  for (const { protocol, address, port, process } of scan.listeners) {
    const name = `${protocol} ${address}:${port}`;
    rows.set(`listener ${name}`, { kind: 'listener', name, detail: { protocol, address, port, process } });
  }
  return [...rows.values()];
}
