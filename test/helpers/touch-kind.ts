import type { ChangeKind } from '../../activities/kinds/change-kind.js';
import { sha256Hex, updateSet } from '../../domain/content/index.js';

/** The smallest change kind there is: every endpoint gets one marker file. Proves that rings know nothing of packages. */
export interface TouchParameters {
  readonly marker: string;
}

export const touchKind: ChangeKind<TouchParameters> = {
  name: 'touch',
  parse(parameters) {
    const marker = (parameters as { marker?: unknown } | null)?.marker;
    return typeof marker === 'string' && /^[a-z][a-z0-9-]{0,30}$/.test(marker)
      ? { ok: true, value: { marker } }
      : { ok: false, problems: [{ path: 'parameters.marker', reason: 'must be a name' }] };
  },
  timing: () => ({ scanMaxAgeMs: 86_400_000, discoverMinutes: 1, confirmMinutes: 1 }),
  async plan({ parameters }, endpointIds) {
    const name = `marker-${parameters.marker}`;
    const file = { sha256: sha256Hex(name), size: name.length };
    const result = updateSet([{ name, arch: 'all', from: null, to: '1', source: name, ...file }]);
    if (!result.ok) throw new Error(result.reason);
    const work = { set: result.set, previous: [], provider: 'touch', reversibility: 'reversible', triage: [] } as const;
    return { works: [{ ...work, endpointIds, idle: null }], facts: [] };
  },
  async bytes({ parameters }, digests) {
    const name = `marker-${parameters.marker}`;
    return new Map(digests.includes(sha256Hex(name)) ? [[sha256Hex(name), Buffer.from(name)]] : []);
  },
  async study() {},
  judge: (_, installed) => (installed === null ? 'the marker is not there' : null),
};
