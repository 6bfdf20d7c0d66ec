/** Measures the host by a checklist and tells the server what changed since what it last acknowledged. */
import { createHash } from 'node:crypto';
import {
  createReadStream,
  createWriteStream,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { LARGEST_ARF } from '../../../domain/baseline/results.js';
import {
  type AssessmentReply,
  type AssessmentRequest,
  type BaselineScope,
  PROTOCOL_VERSION,
} from '../../../protocol/messages.js';
import { readTextIfThere, writeFileDurably } from '../../system/files.js';
import type { Run } from '../../system/run.js';
import type { ContentCache } from '../../transport/content.js';
import { keepCritical, rememberCritical } from './critical.js';
import { evaluate, type RuleResults } from './oscap.js';

interface Acknowledged {
  readonly revision: number;
  readonly results: RuleResults;
}

export interface AssessDeps {
  readonly run: Run;
  readonly content: Pick<ContentCache, 'ensure'>;
  /** A folder of ours. */
  readonly dir: string;
  readonly now: () => number;
  readonly send: (request: AssessmentRequest) => Promise<AssessmentReply>;
  readonly handOver: (orderId: string, packed: Buffer) => Promise<void>;
}

/** Returns what people see with the order. @throws when the server can't be reached or refuses */
export function createAssess(deps: AssessDeps) {
  return async (args: {
    readonly orderId: string;
    readonly baseline: BaselineScope;
    readonly bytesPerSecond: number | null;
  }): Promise<Readonly<Record<string, unknown>>> => {
    const { orderId, baseline } = args;
    if (baseline.handOver) return handOver(deps, orderId, join(deps.dir, `${baseline.checklist}.arf.xml.gz`));
    const partial = baseline.rules.length > 0;
    const startedAt = Math.round(deps.now());
    mkdirSync(deps.dir, { recursive: true, mode: 0o700 });
    const options = { bytesPerSecond: args.bytesPerSecond };
    const arf = join(deps.dir, `${baseline.checklist}.arf.xml`);
    const found = await evaluate(deps.run, {
      dataStream: await deps.content.ensure(baseline.dataStream, options),
      tailoring: baseline.tailoring === null ? null : await deps.content.ensure(baseline.tailoring, options),
      profile: baseline.profile,
      rules: baseline.rules.map((rule) => rule.id),
      arf: partial ? null : arf,
    });
    const common = { protocol: PROTOCOL_VERSION, orderId, checklist: baseline.checklist, startedAt, partial };
    const problem = found.ok ? whyNoAnswer(found.results) : found.reason;
    if (!found.ok || problem !== null) {
      rmSync(arf, { force: true });
      await deps.send({ ...common, base: null, results: {}, problem: (problem ?? '').slice(0, 2_000), arf: null });
      return { problem };
    }
    if (partial) {
      await deps.send({ ...common, base: null, results: found.results, problem: null, arf: null });
      return { rules: baseline.rules.length };
    }
    const kept = await packArf(arf);
    rememberCritical(deps.dir, baseline, found.results);
    const file = join(deps.dir, `${baseline.checklist}.json`);
    const known = readAcknowledged(file);
    const changed = known === null ? found.results : changesSince(known.results, found.results);
    const request = { ...common, problem: null, arf: kept };
    let reply = await deps.send({ ...request, base: known?.revision ?? null, results: changed });
    if (reply.sendAll) reply = await deps.send({ ...request, base: null, results: found.results });
    if (reply.watched !== undefined) keepCritical(deps.dir, reply.watched);
    if (reply.revision === null) rmSync(file, { force: true });
    else writeFileDurably(file, JSON.stringify({ revision: reply.revision, results: found.results }));
    return { rules: Object.keys(found.results).length, changed: Object.keys(changed).length, revision: reply.revision };
  };
}

async function handOver(deps: AssessDeps, orderId: string, file: string): Promise<Readonly<Record<string, unknown>>> {
  if (!existsSync(file)) return { problem: 'the full results are not here any more' };
  const { size } = statSync(file);
  if (size > LARGEST_ARF)
    return { problem: `the full results have ${size} bytes, more than can be handed over: ${file}` };
  await deps.handOver(orderId, readFileSync(file));
  return { bytes: size };
}

/** A baseline for another system finds nothing applicable, which must not look like a host without failures. */
function whyNoAnswer(results: RuleResults): string | null {
  const all = Object.values(results);
  if (all.some((result) => result !== 'notapplicable')) return null;
  return `none of the ${all.length} rules applies here: the baseline is for another system, or its profile is`;
}

/** Null where the lists are not of the same rules: then differences would say too little. */
function changesSince(before: RuleResults, now: RuleResults): RuleResults {
  return Object.fromEntries(Object.entries(now).filter(([rule, result]) => before[rule] !== result));
}

function readAcknowledged(file: string): Acknowledged | null {
  try {
    const text = readTextIfThere(file);
    return text === null ? null : (JSON.parse(text) as Acknowledged);
  } catch {
    return null;
  }
}

/** 14 MB of XML become one, next to it. */
async function packArf(path: string): Promise<{ sha256: string; size: number } | null> {
  const packed = `${path}.gz`;
  const hash = createHash('sha256');
  try {
    await pipeline(createReadStream(path), createGzip(), createWriteStream(`${packed}.new`, { mode: 0o600 }));
    for await (const chunk of createReadStream(`${packed}.new`)) hash.update(chunk as Buffer);
    renameSync(`${packed}.new`, packed);
    return { sha256: hash.digest('hex'), size: statSync(packed).size };
  } catch {
    return null;
  } finally {
    rmSync(path, { force: true });
  }
}
