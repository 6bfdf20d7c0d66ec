/** The import rules say what design §10 says: looked at by the rules' own patterns, not by what happens to be imported today. */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { repositoryRoot } from '../test/helpers/repository.js';

interface Rule {
  readonly name: string;
  readonly from: { readonly path?: string; readonly pathNot?: string };
  readonly to: {
    readonly path?: string | readonly string[];
    readonly pathNot?: string;
    readonly dependencyTypes?: unknown;
  };
}
const { forbidden } = createRequire(import.meta.url)(join(repositoryRoot, '.dependency-cruiser.cjs')) as {
  readonly forbidden: readonly Rule[];
};

/** Rules about which of our files may load values of which. */
const broken = (from: string, to: string): string[] =>
  forbidden.flatMap((rule) => {
    if (typeof rule.to.path !== 'string' || rule.to.dependencyTypes !== undefined) return [];
    const source = new RegExp(rule.from.path ?? '').exec(from);
    if (source === null || (rule.from.pathNot !== undefined && new RegExp(rule.from.pathNot).test(from))) return [];
    const filled = (pattern: string) => new RegExp(pattern.replaceAll('$1', source[1] ?? ''));
    const free = rule.to.pathNot !== undefined && filled(rule.to.pathNot).test(to);
    return filled(rule.to.path).test(to) && !free ? [rule.name] : [];
  });

test.each([
  ['cli/apply/resource-kinds.ts', 'api/groups/schema.ts'],
  ['cli/apply/documents.ts', 'api/http/validate.ts'],
  ['cli/backup/after-restore.ts', 'workflows/ids.ts'],
  ['cli/commands/keys.ts', 'worker/key-care.ts'],
  ['cli/migrate/prepare.ts', 'db/migrate.ts'],
  ['lab/server.ts', 'cli/up/settings.ts'],
  ['lab/server.ts', 'db/endpoints/join-token.ts'],
  ['api/http/logger.ts', 'adapters/telemetry/tracing.ts'],
  ['api/ticket-systems/schema.ts', 'adapters/tickets/registry.ts'],
  ['cli/up/up.test.ts', 'api/app.ts'],
])('%s may load %s', (from, to) => expect(broken(from, to)).toEqual([]));

test.each([
  ['cli/commands/scan.ts', 'api/app.ts', 'cli-imports'],
  ['cli/commands/scan.ts', 'api/groups/routes.ts', 'cli-imports'],
  ['cli/up/stack.ts', 'worker/main.ts', 'cli-imports'],
  ['cli/up/stack.ts', 'workflows/change.ts', 'cli-imports'],
  ['cli/up/stack.ts', 'agent/compose.ts', 'cli-imports'],
  ['cli/up/stack.ts', 'adapters/mail/smtp.ts', 'cli-imports'],
  ['lab/server.ts', 'cli/up/stack.ts', 'lab-imports'],
  ['lab/server.ts', 'agent/compose.ts', 'lab-imports'],
  ['lab/server.ts', 'api/app.ts', 'lab-imports'],
  ['api/tickets/routes.ts', 'adapters/tickets/request-tracker/index.ts', 'api-imports'],
  ['api/app.ts', 'adapters/telemetry/exporter.ts', 'api-imports'],
  ['api/app.ts', 'adapters/mail/smtp.ts', 'api-imports'],
  ['api/app.ts', 'workflows/change.ts', 'api-imports'],
  ['worker/main.ts', 'test/helpers/stack.ts', 'production-never-imports-tests'],
])('%s may not load %s', (from, to, rule) => expect(broken(from, to)).toContain(rule));
