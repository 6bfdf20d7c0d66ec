/** What a schema can't see: whether what a change names is there. */
import type { Pool } from 'pg';
import { unknownAssignments } from '../../db/baseline/assignments.js';
import { rulesNotAssigned, unknownRules } from '../../db/baseline/rules.js';
import { unknownGroups } from '../../db/groups/groups.js';
import { unknownAccounts } from '../../db/identity/accounts.js';
import type { Approvers } from '../../domain/approval/rule.js';
import { parseRemediationParameters } from '../../domain/change/remediation-parameters.js';
import type { ChangeSpec } from '../../domain/change/spec.js';
import { groupsNamed, type Selector } from '../../domain/fleet/selector.js';
import type { ApiDeps } from '../deps.js';
import { type FieldError, invalid } from '../http/problem.js';

/**
 * Refuses a change that names groups, accounts or a kind nobody knows: it would select nothing, or wait for nobody.
 * @param prefix of the fields named, where the change is part of something larger
 * @throws Problem 400 naming every such field
 */
export async function checkSpec(
  deps: Pick<ApiDeps, 'pool' | 'parseParameters'>,
  spec: ChangeSpec,
  prefix = '',
): Promise<void> {
  const errors: FieldError[] = [];
  const found = (field: string, reason: string): void => {
    errors.push({ field: prefix + field, in: 'body', reason });
  };
  const problems = deps.parseParameters(spec.kind, spec.parameters);
  if (problems === null) found('kind', `no such kind of change: ${spec.kind}`);
  for (const { path, reason } of problems ?? []) found(path, reason);
  if (problems?.length === 0 && spec.kind === 'remediation') await checkRemediation(deps.pool, spec.parameters, found);
  await checkGroups(deps.pool, spec, found);
  await checkAccounts(deps.pool, spec, found);
  if (errors.length > 0) throw invalid(errors);
}

type Report = (field: string, reason: string) => void;

/**
 * Assignments, and rules that are named in full: one that leaves out a rule nobody knows would let it through, and one that asks for a rule which
 * its assignments do not have would do nothing. A pattern may match what is imported later.
 */
async function checkRemediation(pool: Pool, parameters: unknown, found: Report): Promise<void> {
  const parsed = parseRemediationParameters(parameters);
  if (!parsed.ok) return;
  const { assignments, rules, exclude } = parsed.value;
  const nowhere = new Set(await unknownAssignments(pool, assignments ?? []));
  for (const [i, name] of (assignments ?? []).entries())
    if (nowhere.has(name)) found(`parameters.assignments[${i}]`, `no such baseline assignment: ${name}`);
  const named = Object.entries({ rules: rules ?? [], exclude }).flatMap(([field, names]) =>
    names.flatMap((name, i) =>
      name.includes('*') ? [] : [{ name, field: `parameters.${field}[${i}]`, asked: field === 'rules' }],
    ),
  );
  const names = named.map(({ name }) => name);
  const unknown = new Set(await unknownRules(pool, names));
  const elsewhere =
    assignments === null || nowhere.size > 0 ? [] : await rulesNotAssigned(pool, { names, assignments });
  for (const { name, field, asked } of named)
    if (unknown.has(name)) found(field, `no imported baseline has a rule ${name}`);
    else if (asked && elsewhere.includes(name)) found(field, `none of these assignments has a rule ${name}`);
}

async function checkGroups(pool: Pool, spec: ChangeSpec, found: Report): Promise<void> {
  const selectors: [string, Selector][] = [
    ['scope', spec.scope],
    ...spec.rings.flatMap((ring, i): [string, Selector][] => [
      ...('sharePercent' in ring.select ? [] : [[`rings[${i}].select`, ring.select] as [string, Selector]]),
      ...(ring.hostOrder ?? []).map((selector, k): [string, Selector] => [`rings[${i}].hostOrder[${k}]`, selector]),
    ]),
  ];
  const named = selectors.flatMap(([field, selector]) =>
    groupsNamed(selector).map((one) => ({ name: one.name, field: `${field}.${one.field}` })),
  );
  const unknown = new Set(await unknownGroups(pool, [...new Set(named.map(({ name }) => name))]));
  for (const { name, field } of named) if (unknown.has(name)) found(field, `no such group: ${name}`);
}

async function checkAccounts(pool: Pool, spec: ChangeSpec, found: Report): Promise<void> {
  const of = (approvers: Approvers, field: string) =>
    'accounts' in approvers ? approvers.accounts.map((id, i) => ({ id, field: `${field}.accounts[${i}]` })) : [];
  const named = spec.rings.flatMap((ring, r) =>
    ring.approvals.flatMap((rule, a) => [
      ...of(rule.from, `rings[${r}].approvals[${a}].from`),
      ...of(rule.escalateTo, `rings[${r}].approvals[${a}].escalateTo`),
    ]),
  );
  if (named.length === 0) return;
  const unknown = new Set(await unknownAccounts(pool, [...new Set(named.map(({ id }) => id))]));
  for (const { id, field } of named) if (unknown.has(id)) found(field, `no such account: ${id}`);
}
