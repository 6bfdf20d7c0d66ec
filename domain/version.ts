/** Ringmaster's version, as package.json has it (version.test.ts holds both together). */
export const VERSION = '0.1.0';
