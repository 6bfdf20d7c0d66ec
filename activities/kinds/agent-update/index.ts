import type { AgentRelease } from '../../../db/agents/releases.js';
import {
  type AgentUpdateParameters,
  parseAgentUpdateParameters,
} from '../../../domain/change/agent-update-parameters.js';
import { compareDebVersionTexts, updateSet } from '../../../domain/content/index.js';
import { DAY } from '../../../domain/time.js';
import type { ChangeKind, KindContext, KindPlan, KindWork } from '../change-kind.js';

/** The agent's own program in inventories and orders (protocol/messages.ts SELF_PACKAGE), and the provider that carries it out. */
const PACKAGE = { name: 'ringmaster-agent-program', arch: 'all', source: 'ringmaster-agent' } as const;
const PROVIDER = 'self';

/** Agents updated in rings like anything else: the file by its digest, the proof by what the new agent's inventory says. */
export const agentUpdateKind: ChangeKind<AgentUpdateParameters> = {
  name: 'agentUpdate',
  parse: parseAgentUpdateParameters,
  timing: ({ discoverMinutes, confirmMinutes }) => ({ scanMaxAgeMs: 7 * DAY, discoverMinutes, confirmMinutes }),
  plan: planAgents,
  async study() {},
  judge(update, installed) {
    if (installed === null) return 'its agent does not say its version';
    return isOlder(installed, update.to) ? `agent ${installed} runs, older than ${update.to}` : null;
  },
};

async function planAgents(
  { db, client, parameters }: KindContext<AgentUpdateParameters>,
  endpointIds: readonly string[],
): Promise<KindPlan> {
  const [releases, groups] = await Promise.all([db.loadAgentReleases(client), db.loadAgentGroups(client, endpointIds)]);
  const wanted = wantedRelease(releases, parameters.version);
  const works = groups.flatMap(({ version, endpointIds: ids }): KindWork[] => {
    if (wanted === null) {
      const which = parameters.version === null ? 'no release of the agent' : `no agent ${parameters.version}`;
      return [idle(ids, `there is ${which} published here`)];
    }
    if (version === null) return [idle(ids, 'its agent can not update itself: update its package')];
    if (!isOlder(version, wanted.version)) return [];
    const { sha256, size } = wanted;
    const made = updateSet([{ ...PACKAGE, from: version, to: wanted.version, sha256, size }]);
    if (!made.ok) return [idle(ids, made.reason)];
    const old = releases.find((release) => release.version === version);
    const { name, arch } = PACKAGE;
    return [
      {
        set: made.set,
        previous: old === undefined ? [] : [{ name, arch, version, sha256: old.sha256, size: old.size }],
        provider: PROVIDER,
        // The old program stays in its slot, whatever the server still has.
        reversibility: 'reversible',
        triage: [],
        endpointIds: ids,
        idle: null,
      },
    ];
  });
  return { works, facts: [] };
}

function idle(endpointIds: readonly string[], reason: string): KindWork {
  const empty = updateSet([]);
  if (!empty.ok) throw new Error(empty.reason);
  return {
    set: empty.set,
    previous: [],
    provider: PROVIDER,
    reversibility: 'reversible',
    triage: [],
    endpointIds,
    idle: reason,
  };
}

function wantedRelease(releases: readonly AgentRelease[], version: string | null): AgentRelease | null {
  if (version !== null) return releases.find((release) => release.version === version) ?? null;
  return releases.reduce<AgentRelease | null>(
    (newest, release) => (newest === null || isOlder(newest.version, release.version) ? release : newest),
    null,
  );
}

/** A version that can't be read is never older: nothing is done on a guess. */
function isOlder(version: string, than: string): boolean {
  const compared = compareDebVersionTexts(version, than);
  return compared.ok && compared.order < 0;
}
