// Two projects: `unit` sits beside the code and needs nothing; `integration` starts real servers and real hosts.
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
      ...shared,
      displayName: 'integration',
      testMatch: ['<rootDir>/test/**/*.test.ts'],
      globalSetup: '<rootDir>/test/helpers/jest-global.mjs',
      globalTeardown: '<rootDir>/test/helpers/jest-global-teardown.mjs',
    },
  ],
};
