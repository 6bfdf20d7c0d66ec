/** What must hold on real hosts whatever happened to them: from their own disks and journals, and from the database. */
import { STATE_TRAITS } from '../../../domain/order/index.js';
import type { RealFleet } from '../real-fleet.js';
import { brokenOnRecord } from '../stack/invariants.js';
import type { RealHost } from './host.js';

/** Every broken promise, as a sentence; empty when all hold. */
export async function brokenPromises(fleet: RealFleet): Promise<string[]> {
  const onHosts = await Promise.all(fleet.hosts.map(brokenOn));
  return [...onHosts.flat(), ...(await brokenOnRecord(fleet))];
}

async function brokenOn(host: RealHost): Promise<string[]> {
  const { orders, quarantine } = await host.book();
  const audit = await host.audit();
  const open = Object.values(orders).filter(({ core, dropped }) => !STATE_TRAITS[core.state].final && dropped === null);
  const wrongStarts = [...(await host.starts())].flatMap(([orderId, starts]) => [
    ...(starts.length === 1 ? [] : [`${orderId} was begun ${starts.length} times`]),
    ...starts.filter((start) => !start.permitted).map(() => `${orderId} was begun outside its permit`),
  ]);
  return [
    ...wrongStarts,
    ...open.map((entry) => `${entry.orderId} is still ${entry.core.state}`),
    ...(audit === '' ? [] : [`dpkg --audit says ${audit}`]),
    ...(quarantine === null ? [] : [`it is quarantined: ${quarantine}`]),
  ].map((text) => `${host.name}: ${text}`);
}
