/** What the approval activities may ask of the database; injected by the composition root. */
export { appendAudit } from '../audit/append.js';
export { queueMail } from '../mail/outbox.js';
export { inTransaction } from '../pool.js';
export { readEvidence } from './evidence.js';
export { approvedByOtherRule, judge, lockDecision, markEscalated } from './judge.js';
export { findApprovers } from './people.js';
export { closeRequest, countedDecisions, findRequest, insertRequest, invite, invited } from './request.js';
export { readWithoutNet } from './way-back.js';
