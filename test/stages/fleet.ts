/** A small fleet in a real database, for tests of the stages. */
import { createHash, randomUUID } from 'node:crypto';
import type pg from 'pg';
import { changeKinds } from '../../activities/kinds/change-kind.js';
import { patchKind } from '../../activities/kinds/patch/index.js';
import type { Pace } from '../../activities/pace.js';
import type { ContentSource, StageDeps } from '../../activities/stage-deps.js';
import * as stageDb from '../../db/stages.js';
import type { ChangeSpec, RingSpec } from '../../domain/change/spec.js';
import type { Selector } from '../../domain/fleet/selector.js';
import type { PolicyDocument } from '../../domain/policy/policy-set.js';
import { DAY } from '../../domain/time.js';
import { touchKind } from '../helpers/touch-kind.js';

export const NOW = Date.parse('2026-11-23T12:00:00Z');
export const digestOf = (text: string): string => createHash('sha256').update(text).digest('hex');

export interface HostUpdate {
  readonly name: string;
  readonly from: string | null;
  readonly to: string;
  readonly source?: string;
}

export const RING: RingSpec = {
  name: 'all',
  select: { sharePercent: 100 },
  maxInFlight: 10,
  errorBudget: { count: 1 },
  successThresholdPercent: 90,
  minSample: 1,
  soakMinutes: 0,
  approvals: [],
  deadlineMinutes: 600,
  haltAction: 'pause',
};

export const POLICY: PolicyDocument = {
  appliesTo: { all: true },
  hours: { communicate: { always: true }, stage: { always: true }, apply: { always: true } },
  freezeCalendars: [],
  reboot: 'ifNeeded',
  expectedMinutes: 10,
  healthChecks: [{ type: 'unit', unit: 'web.service' }],
  hooks: [],
  stageRateLimit: 1_000_000,
};

/** Rows, each by its own statement: clarity counts here, not speed. */
export function createFleet(pool: pg.Pool) {
  const repositoryId = randomUUID();

  return {
    repositoryId,
    async repository(): Promise<void> {
      await pool.query(
        `INSERT INTO repository (id, name, kind, config) VALUES ($1, 'test', 'apt', '{"suite":"stable"}')`,
        [repositoryId],
      );
    },

    async endpoint(
      name: string,
      options: Partial<{
        labels: Record<string, string>;
        state: string;
        scanOnly: boolean;
        simulated: boolean;
        neverTouch: string[];
        updates: readonly HostUpdate[];
        scannedAt: number | null;
        installed: readonly { name: string; version: string; source?: string }[];
      }> = {},
    ): Promise<string> {
      const id = randomUUID();
      await pool.query(
        `INSERT INTO endpoint (id, name, public_key, labels, state, scan_only, simulated, local_limits)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
        [
          id,
          name,
          id,
          options.labels ?? {},
          options.state ?? 'active',
          options.scanOnly ?? false,
          options.simulated ?? false,
          options.neverTouch === undefined ? {} : { neverTouch: options.neverTouch },
        ],
      );
      if (options.scannedAt === null) return id;
      const updates = options.updates ?? [];
      const installed = [
        ...(options.installed ?? []),
        ...updates.flatMap((u) =>
          u.from === null
            ? []
            : [{ name: u.name, version: u.from, ...(u.source === undefined ? {} : { source: u.source }) }],
        ),
      ];
      await this.scan(id, { at: options.scannedAt ?? NOW - 60_000, installed });
      for (const u of updates) {
        await pool.query(
          `INSERT INTO available_update (endpoint_id, name, arch, installed, candidate, scan_id) VALUES ($1, $2, 'amd64', $3, $4, $5)`,
          [id, u.name, u.from, u.to, randomUUID()],
        );
      }
      return id;
    },

    /** A complete scan that found just this. */
    async scan(
      endpointId: string,
      args: {
        at: number;
        installed: readonly { name: string; version: string; source?: string }[];
        complete?: boolean;
      },
    ): Promise<void> {
      const scanId = randomUUID();
      await pool.query(
        `INSERT INTO scan (id, endpoint_id, started_at, received_at, complete, incomplete_reason, provider)
         VALUES ($1, $2, to_timestamp($3 / 1000.0), to_timestamp($3 / 1000.0), $4, $5, 'apt')`,
        [scanId, endpointId, args.at, args.complete ?? true, args.complete === false ? 'dpkg is locked' : null],
      );
      await pool.query('DELETE FROM installed_package WHERE endpoint_id = $1', [endpointId]);
      for (const one of args.installed) {
        await pool.query(
          `INSERT INTO installed_package (endpoint_id, name, arch, version, source, source_version, scan_id)
           VALUES ($1, $2, 'amd64', $3, $4, $3, $5)`,
          [endpointId, one.name, one.version, one.source ?? one.name, scanId],
        );
      }
    },

    /** Names a package version in a verified index. */
    async catalogue(
      name: string,
      version: string,
      options: Partial<{
        source: string;
        pocket: string;
        suite: string;
        sha256: string;
        firstSeen: number;
        withdrawn: boolean;
      }> = {},
    ): Promise<void> {
      await pool.query(
        `INSERT INTO catalogue_package (repository_id, name, arch, version, suite, source, source_version, sha256, size, filename,
                                        detail, first_seen, withdrawn_at)
         VALUES ($1, $2, 'amd64', $3, $4, $5, $3, $6, 1000, $7, $8, to_timestamp($9 / 1000.0), to_timestamp($10 / 1000.0))`,
        [
          repositoryId,
          name,
          version,
          options.suite ?? 'stable',
          options.source ?? name,
          options.sha256 ?? digestOf(`${name} ${version}`),
          `pool/${name}_${version}_amd64.deb`,
          { pocket: options.pocket ?? 'release', origin: 'Debian' },
          options.firstSeen ?? NOW - 10 * DAY,
          options.withdrawn === true ? NOW - DAY : null,
        ],
      );
    },

    async group(name: string, selector: Selector): Promise<void> {
      await pool.query('INSERT INTO endpoint_group (id, name, selector) VALUES ($1, $2, $3)', [
        randomUUID(),
        name,
        selector,
      ]);
    },

    async policy(
      name: string,
      options: Partial<{ precedence: number; document: Partial<PolicyDocument> }> = {},
    ): Promise<string> {
      const id = randomUUID();
      await pool.query(
        `INSERT INTO policy_set (id, version, name, precedence, document, created_by) VALUES ($1, 1, $2, $3, $4, 'test')`,
        [id, name, options.precedence ?? 0, { ...POLICY, ...options.document }],
      );
      return id;
    },

    async change(options: Partial<ChangeSpec> & { halted?: boolean } = {}): Promise<string> {
      const { halted = false, ...rest } = options;
      const id = randomUUID();
      const spec: ChangeSpec = {
        kind: 'patch',
        name: 'cycle',
        reason: 'monthly',
        scope: { all: true },
        rings: [RING],
        priority: 0,
        deadlineMinutes: 10_000,
        offlineAfterMinutes: 60,
        parameters: {},
        ...rest,
      };
      await pool.query(
        `INSERT INTO change (id, kind, name, spec, priority, requested_by, requested_at, deadline, halted, halt_verb, halted_by)
         VALUES ($1, $2, $3, $4, $5, 'manager@example.org', to_timestamp($6 / 1000.0), to_timestamp($7 / 1000.0), $8, $9, $10)`,
        [
          id,
          spec.kind,
          spec.name,
          spec,
          spec.priority,
          NOW,
          NOW + spec.deadlineMinutes * 60_000,
          halted,
          halted ? 'pause' : null,
          halted ? 'someone' : null,
        ],
      );
      return id;
    },

    /** A change order that has come to an end. */
    async order(
      changeId: string,
      endpointId: string,
      args: {
        state: string;
        ring?: number;
        settledAt?: number;
        reason?: string;
        kind?: string;
        reverts?: string;
        attempt?: number;
      },
    ): Promise<string> {
      const id = randomUUID();
      const open = ['stalled', 'applying', 'awaitingReboot'].includes(args.state);
      await pool.query(
        `INSERT INTO order_state (id, change_id, ring, home_ring, endpoint_id, kind, attempt, phase, state, content_digest, reverts,
                                  reason, started_at, settled_at)
         SELECT $1, $2, $3, $3, $4, $5, $6, $7, $8, pe.update_set_digest, $9, $10, to_timestamp($11 / 1000.0), to_timestamp($11 / 1000.0)
           FROM plan_endpoint pe WHERE pe.change_id = $2 AND pe.endpoint_id = $4`,
        [
          id,
          changeId,
          args.ring ?? 0,
          endpointId,
          args.kind ?? 'change',
          args.attempt ?? 1,
          open ? 'holding' : args.state === 'pending' ? 'waiting' : 'done',
          args.state,
          args.reverts ?? null,
          args.reason ?? null,
          args.settledAt ?? NOW,
        ],
      );
      return id;
    },
  };
}

/** A clock that moves only when somebody sleeps. */
export function testPace(options: { key?: string | null; onSleep?: () => Promise<void>; left?: unknown } = {}) {
  let now = NOW;
  const beats: unknown[] = [];
  const pace: Pace = {
    heartbeat: (detail) => void beats.push(detail),
    sleep: async (ms) => {
      now += ms;
      await options.onSleep?.();
    },
    left: options.left,
    key: options.key ?? null,
  };
  return { pace, beats, clock: () => now };
}

/** Bytes that are always there: size by digest. */
export function fakeContent(options: Partial<ContentSource> = {}) {
  const stored = new Map<string, number>();
  const content: ContentSource = {
    fetchPackage: async ({ sha256, size }) => {
      stored.set(sha256, size);
      return { sha256, size };
    },
    keep: async ({ sha256, bytes }) => {
      stored.set(sha256, bytes.length);
    },
    ensureSpace: async () => {},
    size: async (sha256) => stored.get(sha256) ?? null,
    touch: async ({ sha256, size }) => (await content.size(sha256)) === size,
    readChangelog: async () => ({ kind: 'none', reason: 'has none' }),
    ...options,
  };
  return { content, stored };
}

export function stageDeps(pool: pg.Pool, options: Partial<StageDeps> = {}): StageDeps {
  const { pace, clock } = testPace();
  return {
    pool,
    db: stageDb,
    kinds: changeKinds([patchKind, touchKind]),
    content: fakeContent().content,
    clock,
    pace: () => pace,
    changeWorkflowId: (id) => `change/${id}`,
    ...options,
  };
}
