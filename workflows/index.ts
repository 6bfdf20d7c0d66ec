/** The workflow bundle's entry: every workflow type, nothing else. */
export { approval } from './approval.js';
export { patchCycle, remediation } from './change.js';
export { ring } from './ring.js';
export { scheduledCycle } from './scheduled-cycle.js';
