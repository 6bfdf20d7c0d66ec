/** What settles work for people: inventories of packages, a change kind's own evidence, or assessments for drift of a rule. */
import type { ChangeKind, ChangeKinds } from '../../activities/kinds/change-kind.js';
import { askForAssessments, loadDriftWork, loadUnmeasuredClaims } from '../../db/baseline/rule-work.js';
import type { Queryable } from '../../db/pool.js';
import * as stagesDb from '../../db/stages.js';
import { askForClaimScans, type Judgeable, loadJudgeable } from '../../db/tickets/work.js';
import { whyNotProven } from '../../domain/baseline/results.js';
import type { EpochMs } from '../../domain/time.js';

type Item = Judgeable['items'][number];

export interface Judge {
  /** Asks for what claims wait for. */
  ask(): Promise<void>;
  /** Work with something new to judge it by. */
  load(limit: number): Promise<readonly Judgeable[]>;
  /** Claims nothing will ever judge. */
  unprovable(): Promise<readonly string[]>;
  /** Why what was found does not show that it is done; null: it does. */
  judge(item: Item, work: Judgeable): string | null;
}

/** One for all kinds that an inventory proves, one for each that has evidence of its own, one for drift. */
export function judgesOf(args: {
  readonly client: Queryable;
  readonly kinds: ChangeKinds;
  readonly now: EpochMs;
}): readonly Judge[] {
  const { client, kinds, now } = args;
  const all = [...kinds.values()];
  const byInventory = all.filter((kind) => kind.evidence === undefined).map((kind) => kind.name);
  const planned = (item: Item, work: Judgeable): string | null => {
    const kind = kinds.get(work.changeKind ?? '');
    if (kind === undefined) return `nobody here can judge a change of kind ${work.changeKind}`;
    return work.backwards ? judgeBack(kind, item) : kind.judge(item, item.installed);
  };
  return [
    {
      ask: () => askForClaimScans(client, byInventory),
      load: (limit) => loadJudgeable(client, { changeKinds: byInventory, limit }),
      unprovable: async () => [],
      judge: planned,
    },
    ...all.flatMap(({ evidence }): Judge[] => {
      if (evidence === undefined) return [];
      const context = { db: stagesDb, client, now };
      return [
        {
          ask: () => evidence.work.ask(context),
          load: (limit) => evidence.work.judgeable(context, limit),
          unprovable: () => evidence.work.unprovable(context),
          judge: planned,
        },
      ];
    }),
    {
      ask: () => askForAssessments(client, { changeKind: null, now }),
      load: (limit) => loadDriftWork(client, limit),
      unprovable: () => loadUnmeasuredClaims(client, { changeKind: null }),
      // What does not apply any more can't fail any more.
      judge: ({ installed }) => (installed === 'notapplicable' ? null : whyNotProven(installed)),
    },
  ];
}

function judgeBack(kind: ChangeKind, item: Item): string | null {
  if (kind.judgeBack !== undefined) return kind.judgeBack(item, item.installed);
  return item.installed === item.from
    ? null
    : `${item.installed ?? 'nothing'} is installed, not ${item.from ?? 'nothing'}`;
}
