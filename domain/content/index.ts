/**
 * Frozen content, decided purely: what a repository's signed index says, which update is newer, what goes into a change and why,
 * whether it can be undone, and the one digest that approvers approve. Design §5; docs/content.md.
 */
export * from './brings.js';
export * from './canonical.js';
export * from './catalogue.js';
export * from './changelog.js';
export * from './deb-version.js';
export * from './deb822.js';
export * from './merkle.js';
export * from './name-pattern.js';
export * from './plan.js';
export * from './relations.js';
export * from './release.js';
export * from './reversibility.js';
export * from './triage.js';
export * from './update-set.js';
