import { MINUTE } from '../time.js';

/** A permit lets its order start for this long (design §4), and never past the last start of its window. */
export const PERMIT_VALID_MS = 5 * MINUTE;
