import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Worker } from '@temporalio/worker';
import { patchesOf, readHistory } from '../helpers/histories.js';
import { repositoryRoot } from '../helpers/repository.js';
import { bundleFromSources } from '../helpers/workflow-rig.js';

jest.setTimeout(120_000);

const folder = join(repositoryRoot, 'test/replay/histories');
const workflows = join(repositoryRoot, 'workflows');
const saved = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((f) => f.endsWith('.json'));

/** Never edit a saved history to make this pass: a change of behaviour is versioned with patched(). */
describe('saved histories replay on the workflows of today', () => {
  let bundle: { code: string };
  beforeAll(async () => {
    bundle = await bundleFromSources();
  });

  it('there are some of every workflow type', () => {
    const types = ['patchCycle', 'remediation', 'ring', 'approval', 'scheduledCycle'];
    const missing = types.filter((type) => !saved.some((f) => f.endsWith(`-${type}.json`)));
    expect(missing).toEqual([]);
  });

  it('there is one of every version the workflows can take, and of a ring in a hurry', () => {
    const versions = readdirSync(workflows).flatMap((file) =>
      [...readFileSync(join(workflows, file), 'utf8').matchAll(/patched\('([^']+)'\)/g)].map(([, id]) => id),
    );
    const histories = saved.map((file) => readHistory(readFileSync(join(folder, file), 'utf8')));
    const taken = new Set(histories.flatMap(patchesOf));
    expect(versions.length).toBeGreaterThan(0);
    expect(versions.filter((id) => !taken.has(id ?? ''))).toEqual([]);
    const inputs = histories.flatMap(
      ({ events }) => events?.[0]?.workflowExecutionStartedEventAttributes?.input?.payloads ?? [],
    );
    expect(inputs.some(({ data }) => Buffer.from(data ?? []).includes('"expedited":true'))).toBe(true);
  });

  it('all of them', async () => {
    const histories = (function* () {
      for (const file of saved) {
        yield { workflowId: file, history: readHistory(readFileSync(join(folder, file), 'utf8')) };
      }
    })();
    const broken: string[] = [];
    for await (const { workflowId, error } of Worker.runReplayHistories({ workflowBundle: bundle }, histories)) {
      if (error !== undefined) broken.push(`${workflowId}: ${error.message}`);
    }
    expect(broken).toEqual([]);
  });

  it('and a history that does not fit is noticed', async () => {
    const file = saved.find((f) => f.endsWith('-ring.json')) as string;
    const text = readFileSync(join(folder, file), 'utf8').replaceAll('"resolveWindows"', '"somethingElse"');
    const run = Worker.runReplayHistory({ workflowBundle: bundle }, readHistory(text));
    await expect(run).rejects.toThrow();
  });
});
