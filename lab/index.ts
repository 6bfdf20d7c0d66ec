export { buildBase, type Base } from './base.js';
