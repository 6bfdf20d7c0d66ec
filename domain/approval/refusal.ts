/** Why a decision does not count; the person reads these words. */

/** Wrong codes that may be typed for one request and person without signing in, and as many by the person signed in. */
export const MAX_WRONG_CODES = 5;

/** Counted per request, person and proof, in the database, by exactly this text. */
export const WRONG_CODE = 'the one-time code is wrong';

export const TOO_MANY_WRONG_CODES = `${MAX_WRONG_CODES} wrong codes were typed: no code opens this request for you any more`;
export const NO_CODE_TYPED = 'this decision needs your one-time code';
export const PLAN_CHANGED = 'the plan has changed since this page was shown';
export const APPROVED_BY_OTHER_RULE =
  'you have approved this ring by another of its rules already, and its rules want distinct people';
export const NO_CODE_SENT =
  'no one-time code could be sent to you: you have no second channel apart from the mailbox that got the link';
export const NOT_IN_TICKET = 'decisions written in that ticket do not count, or not those of its author';
