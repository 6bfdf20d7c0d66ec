// Who may import whom (design §10). Type-only imports are free: values are what couples.
const value = { dependencyTypesNot: ['type-only'] };
const tests = '\\.test\\.ts$';
const only = (name, from, allowed) => ({
  name,
  severity: 'error',
  from: { path: `^${from}/`, pathNot: tests },
  to: {
    path: '^(domain|workflows|activities|adapters|db|api|worker|agent|protocol|web|cli|lab|sim|test|bench|demo)/',
    pathNot: allowed,
    ...value,
  },
});
module.exports = {
  forbidden: [
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true, viaOnly: value } },
    only('domain-imports-domain', 'domain', '^domain/'),
    only('workflows-import-domain', 'workflows', '^(workflows|domain)/'),
    only('activities-import-domain', 'activities', '^(activities|domain)/'),
    only('adapters-import-domain-and-their-kind', 'adapters', '^(adapters|domain)/'),
    {
      name: 'adapters-keep-to-their-kind',
      severity: 'error',
      from: { path: '^adapters/([^/]+)/' },
      to: { path: '^adapters/([^/]+)/', pathNot: '^adapters/$1/', ...value },
    },
    only('db-imports-domain', 'db', '^(db|domain)/'),
    // Of adapters no more than docs/adr/0007 says.
    only(
      'api-imports',
      'api',
      '^((api|domain|db|protocol|web)/|adapters/(telemetry/tracing|tickets/registry)\\.ts$|workflows/(messages|ids)\\.ts$)',
    ),
    // It constructs nothing of the server: it starts its programs, talks to the API by the API's own schemas, and keeps the database;
    // `keys` does on a worker's folder what a worker does (docs/keys.md).
    only(
      'cli-imports',
      'cli',
      '^((cli|db|domain|protocol)/|api/[^/]+/[a-z-]*schema\\.ts$|api/http/validate\\.ts$|workflows/ids\\.ts$|worker/key-care\\.ts$)',
    ),
    // Of an installation it only finds out where it is, and enrols its hosts there.
    only('lab-imports', 'lab', '^((lab|db|domain)/|cli/up/(database-url|pid-file|probes|settings)\\.ts$)'),
    only('protocol-imports-domain', 'protocol', '^(protocol|domain)/'),
    only('agent-imports', 'agent', '^(agent|protocol|domain)/'),
    // The simulated fleet is made of the agent's own rules; its repository is made as the lab's is.
    only('sim-imports', 'sim', '^((sim|agent|protocol|domain)/|lab/repo\\.ts$)'),
    only('web-imports', 'web', '^(web|domain)/'),
    only('worker-imports', 'worker', '^(worker|workflows|activities|adapters|db|domain|protocol)/'),
    {
      name: 'domain-is-pure',
      severity: 'error',
      from: { path: '^domain/', pathNot: tests },
      to: { dependencyTypes: ['core'], pathNot: '^(node:)?(crypto|buffer)$', ...value },
    },
    {
      name: 'workflows-are-deterministic',
      comment:
        'No clock, zone database, Intl, zod or Node built-in in workflow code; scripts/check-determinism.mjs checks the bundle.',
      severity: 'error',
      from: { path: '^workflows/', pathNot: tests },
      to: {
        path: [
          '^domain/(schedule|content|audit)/',
          'node_modules/(zod|temporal-polyfill|rrule-temporal|ical\\.js|pg|express)/',
        ],
        ...value,
      },
    },
    {
      name: 'workflows-no-node',
      severity: 'error',
      from: { path: '^workflows/', pathNot: tests },
      to: { dependencyTypes: ['core'], ...value },
    },
    {
      name: 'production-never-imports-tests',
      severity: 'error',
      from: { pathNot: '^(test|bench|demo)/|\\.test\\.ts$' },
      to: { path: '^(test|bench|demo)/' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    exclude: { path: '\\.(sql|eta|hbs)$' },
  },
};
