import type { ChangeDetail } from '../../client/types.js';
import { type ApiOptions, openApi } from '../api-command.js';
import { confirmed } from '../confirm.js';
import { askPlan, showPlan } from './plan.js';
import { located, readSpec } from './spec-file.js';
import { follow } from './watch.js';

export async function start(
  file: string,
  options: ApiOptions & { planFirst?: boolean; watch?: boolean; yes?: boolean },
): Promise<void> {
  const { client, screen } = await openApi(options);
  const { spec, document } = readSpec(file);
  try {
    if (options.planFirst === true) {
      const planned = await askPlan(client, spec);
      if (screen.json) screen.value({ plan: planned });
      else showPlan(screen, planned);
      await confirmed(screen, { question: `Start "${spec.name}"?`, yes: options.yes });
    }
    const change = await client.post<ChangeDetail>('/v1/changes', spec);
    if (screen.json) screen.value(change);
    else {
      screen.line(`Started ${change.id} (${spec.name}).`);
      if (options.watch !== true) screen.line(`Follow it: ringmaster cycle watch ${change.id}`);
    }
    if (options.watch === true) await follow({ client, screen }, { changeId: change.id });
  } catch (error) {
    throw located(error, document);
  }
}
