/** `cycle plan`: the server's dry run as tables. */
import type { ChangePlan } from '../../../domain/change/dry-run.js';
import type { ChangeSpec } from '../../../domain/change/spec.js';
import type { ApiClient } from '../../client/http-client.js';
import { plain } from '../../output/plain.js';
import type { Screen } from '../../output/screen.js';
import { type ApiOptions, openApi } from '../api-command.js';
import { located, readSpec } from './spec-file.js';

export async function plan(file: string, options: ApiOptions): Promise<void> {
  const { client, screen } = await openApi(options);
  const { spec, document } = readSpec(file);
  try {
    const planned = await askPlan(client, spec);
    if (screen.json) screen.value(planned);
    else showPlan(screen, planned);
  } catch (error) {
    throw located(error, document);
  }
}

/** Asking changes nothing on the server. */
export const askPlan = (client: ApiClient, spec: ChangeSpec): Promise<ChangePlan> =>
  client.post<ChangePlan>('/v1/changes/plan', spec);

export function showPlan(screen: Screen, planned: ChangePlan): void {
  const { zone } = screen;
  const { updates } = planned;
  screen.line(
    `Dry run as of ${zone.named(planned.at)}; nothing was written. Deadline ${zone.named(planned.deadline)}.`,
  );
  screen.line(
    `${planned.endpoints} endpoints in rings. Updates: ${updates.included} included, ${updates.deferred} deferred, ${updates.declined} declined.`,
  );
  if (planned.cves.length > 0) screen.line(plain(`CVEs: ${planned.cves.join(', ')}`));
  screen.line();
  screen.table({
    columns: [
      { title: 'RING', shrinkTo: 10 },
      { title: 'ENDPOINTS', right: true },
      { title: 'NEXT OPENING' },
      { title: 'BEGINS' },
      { title: 'FINISHES' },
      { title: 'PASSED' },
      { title: 'LATER', right: true },
      { title: 'NEVER', right: true },
      { title: 'WORST CASE', right: true },
    ],
    rows: planned.rings.map((ring) => [
      `${ring.ordinal} ${ring.name}`,
      String(ring.endpoints),
      zone.show(ring.nextOpening),
      zone.show(ring.begins),
      zone.show(ring.finishes),
      `${zone.show(ring.passed)}${ring.afterApprovals > 0 ? ' *' : ''}`,
      String(ring.stragglers),
      String(ring.never),
      `${ring.worstCaseFailures} failed`,
    ]),
  });
  if (planned.rings.some((ring) => ring.afterApprovals > 0))
    screen.line('* at the earliest, after approval: times suppose that everybody approves at once.');
  screen.line(
    `Finished at the earliest: ${zone.named(planned.finishes)}, if nothing fails and each order takes what its policy expects. Times are ${zone.name}.`,
  );
  reasons(screen, 'Caught up later, in the stragglers’ lane', planned.stragglers);
  reasons(screen, 'Can’t make it', planned.cannot);
  reasons(screen, 'Can’t be taken back, so left out', planned.withheld);
  reasons(screen, 'Not part of it', planned.excluded);
  for (const note of planned.notes) screen.line(`Note: ${plain(note)}`);
}

function reasons(screen: Screen, title: string, found: ChangePlan['excluded']): void {
  if (found.length === 0) return;
  screen.line();
  screen.line(`${title}:`);
  for (const { reason, endpoints, names } of found) {
    const more = endpoints > names.length ? ', …' : '';
    screen.line(plain(`  ${endpoints}: ${reason} (${names.join(', ')}${more})`));
  }
}
