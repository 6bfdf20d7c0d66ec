/** Why full results are not there, and what to do about it. Only what may still come is answered with "come again". */
import type { ArfCopy } from '../../db/baseline/arf.js';
import { LARGEST_ARF } from '../../domain/baseline/results.js';
import { conflict, Problem, unavailable } from '../http/problem.js';

const AGAIN = 'measure the endpoint again (POST /v1/endpoints/{id}/assess), then ask for them again by POST';

export function arfProblem(found: Exclude<ArfCopy, { readonly kind: 'here' }>): Problem {
  switch (found.kind) {
    case 'waiting':
      return unavailable('the endpoint has not handed them over yet');
    case 'gone':
      return new Problem({
        status: 404,
        type: 'full-results-gone',
        title: 'The endpoint has not handed them over, and will not',
        detail: `${found.reason}: ${AGAIN}`,
      });
    case 'differs':
      return conflict(`${found.reason}; it is not kept: ${AGAIN}`);
  }
}

export function arfTooLarge(size: number): Problem {
  return new Problem({
    status: 413,
    type: 'too-large',
    title: 'Too large',
    detail: `the full results have ${size} bytes, and ${LARGEST_ARF} can be handed over at most: they are on the endpoint, in /var/lib/ringmaster-agent/assessments; a tailoring with fewer rules makes them smaller`,
  });
}
