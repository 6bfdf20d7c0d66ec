/** Plain rows for tests that need a change with a frozen plan, and people around it. Clarity counts here, not speed. */
import { createHash, randomUUID } from 'node:crypto';
import type pg from 'pg';
import { hashPassword } from '../../api/auth/passwords.js';
import type { ApprovalRule, Role, StakeholderKind } from '../../domain/approval/rule.js';
import type { PolicyDocument } from '../../domain/policy/policy-set.js';
import { DAY } from '../../domain/time.js';
import { changeSpec, ringSpec } from './scripted-activities.js';

export const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

export interface SeededAccount {
  readonly id: string;
  readonly name: string;
  readonly email: string;
  readonly secondChannel: string | null;
}

/** `<name>@example.test` with the roles given; can sign in only with a `password`. */
export async function seedAccount(
  pool: pg.Pool,
  options: {
    readonly name: string;
    readonly roles?: readonly Role[];
    readonly secondChannel?: string;
    readonly password?: string;
    readonly zone?: string;
  },
): Promise<SeededAccount> {
  const id = randomUUID();
  const { name, roles = [], secondChannel = null, zone = 'UTC' } = options;
  const email = `${name.toLowerCase().replace(/[^a-z0-9]+/g, '.')}@example.test`;
  const hash = options.password === undefined ? null : await hashPassword(options.password);
  await pool.query(
    'INSERT INTO account (id, name, email, second_channel, password_hash, zone) VALUES ($1, $2, $3, $4, $5, $6)',
    [id, name, email, secondChannel, hash, zone],
  );
  await pool.query('INSERT INTO role_grant (account_id, role) SELECT $1, unnest($2::text[])', [id, roles]);
  return { id, name, email, secondChannel };
}

export async function seedEndpoint(
  pool: pg.Pool,
  options: { readonly name: string; readonly zone?: string; readonly labels?: Record<string, string> },
): Promise<string> {
  const id = randomUUID();
  await pool.query(
    'INSERT INTO endpoint (id, name, public_key, zone, labels) VALUES ($1::uuid, $2, $1::text, $3, $4)',
    [id, options.name, options.zone ?? 'UTC', options.labels ?? {}],
  );
  return id;
}

export async function seedStakeholder(
  pool: pg.Pool,
  row: { readonly endpointId: string; readonly kind: StakeholderKind; readonly accountId: string },
): Promise<void> {
  await pool.query('INSERT INTO stakeholder (endpoint_id, kind, account_id) VALUES ($1, $2, $3)', [
    row.endpointId,
    row.kind,
    row.accountId,
  ]);
}

/** A policy set in its first version; always open unless told otherwise. */
export async function seedPolicy(
  pool: pg.Pool,
  options: { readonly name: string; readonly document?: Partial<PolicyDocument> },
): Promise<string> {
  const id = randomUUID();
  const document: PolicyDocument = {
    appliesTo: { all: true },
    hours: { communicate: { always: true }, stage: { always: true }, apply: { always: true } },
    freezeCalendars: [],
    reboot: 'ifNeeded',
    expectedMinutes: 10,
    healthChecks: [],
    hooks: [],
    stageRateLimit: null,
    ...options.document,
  };
  await pool.query(`INSERT INTO policy_set (id, version, name, document, created_by) VALUES ($1, 1, $2, $3, 'test')`, [
    id,
    options.name,
    JSON.stringify(document),
  ]);
  return id;
}

export interface SeededUpdate {
  readonly name: string;
  readonly source?: string;
  readonly from: string | null;
  readonly to: string;
  readonly cves?: readonly string[];
}

export interface SeededTriage {
  readonly name: string;
  readonly to: string;
  readonly outcome: 'included' | 'deferred' | 'declined';
  readonly rule?: string;
  readonly reason: string;
}

export interface SeededRing {
  readonly name: string;
  /** Ids; every one gets the same updates. */
  readonly endpoints: readonly string[];
  readonly updates?: readonly SeededUpdate[];
  readonly triage?: readonly SeededTriage[];
  readonly reversibility?: 'reversible' | 'reversibleButData' | 'irreversible';
  readonly approvals?: readonly ApprovalRule[];
  readonly policyId?: string;
}

export interface SeededChange {
  readonly changeId: string;
  readonly planDigest: string;
}

/** A change with a frozen plan and its rings in rows; no workflow. @param options.requestedBy an account's id */
export async function seedChange(
  pool: pg.Pool,
  options: {
    readonly requestedBy: string;
    readonly rings: readonly SeededRing[];
    readonly name?: string;
    readonly reason?: string;
    readonly now?: number;
  },
): Promise<SeededChange> {
  const changeId = randomUUID();
  const planDigest = sha256(`plan of ${changeId}`);
  const now = options.now ?? Date.now();
  const specs = options.rings.map((ring) => ringSpec({ name: ring.name, approvals: ring.approvals ?? [] }));
  const name = options.name ?? 'November';
  const spec = changeSpec(specs, { name, reason: options.reason ?? 'monthly' });
  await pool.query(
    `INSERT INTO change (id, kind, name, spec, requested_by, requested_at, deadline, plan_digest, plan_revision)
     VALUES ($1, 'patch', $2, $3, $4, to_timestamp($5 / 1000.0), to_timestamp($6 / 1000.0), $7, 1)`,
    [changeId, name, JSON.stringify(spec), options.requestedBy, now, now + 60 * DAY, planDigest],
  );
  await pool.query(`INSERT INTO plan (change_id, revision, digest, header) VALUES ($1, 1, $2, '{}')`, [
    changeId,
    planDigest,
  ]);
  for (const [ordinal, ring] of options.rings.entries()) {
    await pool.query('INSERT INTO ring (change_id, ordinal, name, spec) VALUES ($1, $2, $3, $4)', [
      changeId,
      ordinal,
      ring.name,
      JSON.stringify(specs[ordinal]),
    ]);
    await seedRingPlan(pool, { changeId, ordinal, ring });
  }
  return { changeId, planDigest };
}

async function seedRingPlan(
  pool: pg.Pool,
  { changeId, ordinal, ring }: { changeId: string; ordinal: number; ring: SeededRing },
): Promise<void> {
  const items = (ring.updates ?? []).map((u) => ({
    name: u.name,
    arch: 'amd64',
    from: u.from,
    to: u.to,
    source: u.source ?? u.name,
    sha256: sha256(`${u.name} ${u.to}`),
    size: 1000,
  }));
  const digest = sha256(JSON.stringify(items));
  await pool.query('INSERT INTO update_set (digest, items) VALUES ($1, $2) ON CONFLICT DO NOTHING', [
    digest,
    JSON.stringify(items),
  ]);
  for (const endpointId of ring.endpoints) {
    await pool.query(
      `INSERT INTO plan_endpoint (change_id, endpoint_id, revision, ring, update_set_digest, provider, reversibility, triage,
                                  policy_set_id, policy_version)
       VALUES ($1, $2, 1, $3, $4, 'apt', $5, $6, $7, $8)`,
      [
        changeId,
        endpointId,
        ordinal,
        digest,
        ring.reversibility ?? 'reversible',
        JSON.stringify(ring.triage ?? []),
        ring.policyId ?? null,
        ring.policyId === undefined ? null : 1,
      ],
    );
    for (const update of ring.updates ?? []) {
      await pool.query(
        `INSERT INTO update_fact (endpoint_id, name, arch, version, cves, first_missing_at, last_missing_at, change_id)
         VALUES ($1, $2, 'amd64', $3, $4, now(), now(), $5) ON CONFLICT DO NOTHING`,
        [endpointId, update.name, update.to, update.cves ?? [], changeId],
      );
    }
  }
}

/** What became of an endpoint's change order, as if its ring had run. */
export async function seedOutcome(
  pool: pg.Pool,
  row: {
    readonly changeId: string;
    readonly ring: number;
    readonly endpointId: string;
    readonly state: string;
    readonly reason?: string;
    readonly retried?: boolean;
    readonly attempt?: number;
  },
): Promise<void> {
  await pool.query(
    `INSERT INTO order_state (id, change_id, ring, home_ring, endpoint_id, kind, phase, state, reason, retried, attempt)
     VALUES ($1, $2, $3, $3, $4, 'change', 'done', $5, $6, $7, $8)`,
    [
      randomUUID(),
      row.changeId,
      row.ring,
      row.endpointId,
      row.state,
      row.reason ?? null,
      row.retried ?? false,
      row.attempt ?? 1,
    ],
  );
}
