// Three projects: `unit` sits beside the code and needs nothing; `integration` starts real servers; `hosts` real fleets as well, of which
// two cores carry one at a time (scripts/test.mjs).
const FLEETS = ['real-hosts/*', 'lab/*', 'kill/{chaos,kill,race}', 'packaging/agent-package-host'].map(
  (path) => `test/${path}.test.ts`,
);

const shared = {
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      {
        jsc: { parser: { syntax: 'typescript' }, target: 'es2022' },
        module: { type: 'es6' },
      },
    ],
  },
  testEnvironment: 'node',
  modulePathIgnorePatterns: ['<rootDir>/dist/', '<rootDir>/.ringmaster/'],
};

const servers = {
  ...shared,
  globalSetup: '<rootDir>/test/helpers/jest-global.mjs',
  globalTeardown: '<rootDir>/test/helpers/jest-global-teardown.mjs',
};

export default {
  // Tests start real programs on a machine that may stall for seconds; `waitFor` gives up after 60 s and says why, before this does.
  testTimeout: 75_000,
  // Tests wait more than they work: two at a time, also where there are two cores and jest would take one.
  maxWorkers: 2,
  projects: [
    {
      ...shared,
      displayName: 'unit',
      testMatch: [
        '<rootDir>/{domain,workflows,activities,adapters,db,api,worker,agent,protocol,web,cli,lab,sim,demo,scripts}/**/*.test.ts',
      ],
    },
    {
      ...servers,
      displayName: 'integration',
      // What is left out begins with `**`: jest knows `<rootDir>` only where a pattern begins with it.
      testMatch: ['<rootDir>/test/**/*.test.ts', ...FLEETS.map((path) => `!**/${path}`)],
    },
    { ...servers, displayName: 'hosts', testMatch: FLEETS.map((path) => `<rootDir>/${path}`) },
  ],
};
