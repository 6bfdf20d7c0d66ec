/** Why is this endpoint not patched yet? Facts in, one sentence and the chain behind it out. */

import type { WhyFacts } from './facts.js';
import type { Reason, ReasonCode } from './reason.js';
import { REASONS } from './reasons.js';

export interface Why {
  readonly code: ReasonCode;
  /** The first reason, as one sentence about the endpoint. */
  readonly sentence: string;
  /** Every reason that holds, the one that decides first. */
  readonly chain: readonly Reason[];
}

/**
 * The reasons are looked at in the order of {@link REASONS}: what would have to go first comes first. One that ends the matter
 * (nothing is missing, the endpoint is retired) ends the chain.
 */
export function decideWhy(facts: WhyFacts): Why {
  const chain: Reason[] = [];
  for (const { ends, look } of REASONS) {
    const reason = look(facts);
    if (reason === null) continue;
    chain.push(reason);
    if (ends) break;
  }
  const [first] = chain;
  const reason = first ?? { code: 'turn' as const, text: 'nothing stands in the way: it may be let out at any moment' };
  return {
    code: reason.code,
    sentence: `${facts.endpoint.name}: ${reason.text}.`,
    chain: first === undefined ? [reason] : chain,
  };
}
