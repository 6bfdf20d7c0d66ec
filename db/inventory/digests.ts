/** Digests of the parts of an inventory: equal ones mean equal rows, whatever the order in which a scan lists them. */
import { createHash } from 'node:crypto';
import type { InventoryRequest } from '../../protocol/messages.js';
import { servicesOf } from './services.js';

export const INVENTORY_PARTS = ['packages', 'updates', 'services'] as const;
export type InventoryPart = (typeof INVENTORY_PARTS)[number];
/** SHA-256, 32 bytes each. */
export type InventoryDigests = Readonly<Record<InventoryPart, Buffer>>;

/** The digests of a complete scan, over everything of it that is kept as rows. */
export function digestsOf(scan: InventoryRequest): InventoryDigests {
  return {
    packages: digest(scan.packages.map((p) => [p.name, p.arch, p.version, p.source, p.sourceVersion])),
    updates: digest(scan.updates.map((u) => [u.name, u.arch, u.installed, u.candidate])),
    services: digest(servicesOf(scan).map((s) => [s.kind, s.name, s.detail])),
  };
}

function digest(rows: readonly (readonly unknown[])[]): Buffer {
  // JSON escapes line ends, so no two lists of rows have the same text.
  const lines = rows.map((row) => JSON.stringify(row)).sort();
  return createHash('sha256').update(lines.join('\n')).digest();
}
