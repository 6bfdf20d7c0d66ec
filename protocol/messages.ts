/**
 * What agent and gateway say to each other, version 2 (docs/order-protocol.md says what differs from 1). Every request is signed by the endpoint (RFC 9421); every reply
 * carries the server's time. Times are epoch milliseconds, digests lower-case hex SHA-256.
 */
import { z } from 'zod';
import { boundedRecord } from './bounded-json.js';

export const PROTOCOL_VERSION = 2;
/** The oldest version still spoken: an agent and a server one release apart understand each other, whichever is newer. */
export const OLDEST_PROTOCOL = PROTOCOL_VERSION - 1;

/** How the agent's own program is called in inventories and in orders that update it. */
export const SELF_PACKAGE = 'ringmaster-agent-program';

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const epochMs = z.number().int().nonnegative();
const short = z.string().min(1).max(256);
const packageName = z.string().regex(/^[a-z0-9][a-z0-9+.-]{0,127}$/);
const architecture = z.string().regex(/^[a-z0-9-]{1,32}$/);
const version = z.string().regex(/^[A-Za-z0-9.+:~-]{1,128}$/);
/** What an endpoint says of itself, and in a report: any shape, within bounds. */
const told = boundedRecord({ depth: 8, values: 20_000, text: 256 * 1024 }, 64);
const evidence = boundedRecord({ depth: 8, values: 100_000, text: 1024 * 1024 });
const labels = z.record(z.string().max(64), z.string().max(256));

export const enrolRequest = z.strictObject({
  protocol: z.number().int().min(1),
  token: z.string().max(256),
  /** Ed25519, raw 32 bytes, base64url. The request is signed with it: proof of possession. */
  publicKey: z.string().regex(/^[A-Za-z0-9_-]{43}$/),
  name: short,
  machineId: short,
  zone: short,
  scanOnly: z.boolean(),
  simulated: z.boolean().optional(),
  facts: told,
});
export type EnrolRequest = z.infer<typeof enrolRequest>;

const envelope = z.strictObject({
  payloadType: z.string().max(128),
  payload: z.base64(),
  signatures: z
    .array(z.strictObject({ keyid: z.string().max(128), sig: z.base64() }))
    .min(1)
    .max(4),
});

export const enrolReply = z.object({
  endpointId: z.uuid(),
  serverTime: epochMs,
  /** The offline root's public key (raw 32 bytes, base64url); `keyIdOf` of it must be the join token's fingerprint. */
  rootPublicKey: z.string().regex(/^[A-Za-z0-9_-]{43}$/),
  keySet: envelope,
  nextPollSeconds: z.number().positive(),
});
export type EnrolReply = z.infer<typeof enrolReply>;

/** GET /agent/v1/key-set: the newest key set, signed by the root. */
export const keySetReply = z.object({ serverTime: epochMs, keySet: envelope });
export type KeySetReply = z.infer<typeof keySetReply>;

/** Every reply that is not 2xx, a 401 too: the agent learns the server's clock from it. */
export const errorReply = z.object({ serverTime: epochMs, error: z.string().max(2_000) });
export type ErrorReply = z.infer<typeof errorReply>;

/** A reply of status 426 also says which versions are spoken. */
export const versionReply = z.object({ speaks: z.object({ from: z.number().int(), to: z.number().int() }) });

const reason = z.string().max(2_000);
const stamp = { seq: z.number().int().min(1), at: epochMs };

/** domain/order AgentEvent, plus `detail`: evidence kept with the event (versions, audit, checks, output tail). */
export const agentReport = z
  .discriminatedUnion('type', [
    z.object({ ...stamp, type: z.literal('accept') }),
    z.object({ ...stamp, type: z.literal('refuse'), reason }),
    z.object({ ...stamp, type: z.literal('decline'), reason }),
    z.object({ ...stamp, type: z.literal('satisfied') }),
    z.object({ ...stamp, type: z.literal('moot'), reason }),
    z.object({ ...stamp, type: z.literal('staged') }),
    z.object({ ...stamp, type: z.literal('scanned') }),
    z.object({ ...stamp, type: z.literal('apply') }),
    z.object({ ...stamp, type: z.literal('applied'), rebootRequired: z.boolean() }),
    z.object({ ...stamp, type: z.literal('reboot') }),
    /** Only for a server whose replies say that it knows it: one before would take in nothing of such a poll. */
    z.object({ ...stamp, type: z.literal('notRebooted'), reason }),
    z.object({ ...stamp, type: z.literal('booted') }),
    z.object({ ...stamp, type: z.literal('healthy') }),
    z.object({ ...stamp, type: z.literal('revertBegun'), cause: reason }),
    /** As for `notRebooted`. */
    z.object({ ...stamp, type: z.literal('notBegun'), reason }),
    z.object({ ...stamp, type: z.literal('failed'), cause: reason }),
    z.object({ ...stamp, type: z.literal('reverted') }),
    z.object({ ...stamp, type: z.literal('revertFailed'), cause: reason }),
    z.object({ ...stamp, type: z.literal('note'), text: reason }),
  ])
  .and(z.object({ detail: evidence.optional() }));
export type AgentReport = z.infer<typeof agentReport>;

export const orderReports = z.strictObject({ orderId: z.uuid(), events: z.array(agentReport).min(1).max(200) });

export const pollRequest = z.strictObject({
  protocol: z.number().int().min(1),
  /** Records in the agent's journal; a smaller number than last time means a rolled-back or cloned journal. */
  journalSeq: z.number().int().nonnegative(),
  bootId: short,
  /** The agent's clock, to be compared with ours. */
  clock: epochMs,
  /** Every order in the journal that is not final, where it stands. */
  open: z.array(z.strictObject({ orderId: z.uuid(), state: short, seq: z.number().int().nonnegative() })).max(50),
  reports: z.array(orderReports).max(50),
  /** Local limits, other hands on the package manager, pending reboot: only when changed. */
  observations: told.optional(),
  localLimits: told.optional(),
  /** Since version 2: what the agent is, and what it can carry out. Only when changed. */
  agent: z.strictObject({ version, slot: short, providers: z.array(short).max(16) }).optional(),
});
export type PollRequest = z.infer<typeof pollRequest>;

/** Reports that this server takes in and the one before did not; agents keep them back until a reply names them. */
export const KNOWN_REPORTS = ['notRebooted', 'notBegun'] as const;

export const pollReply = z.object({
  serverTime: epochMs,
  nextPollSeconds: z.number().positive(),
  /** The last report the server holds of each order reported or open; send again from the next one. */
  acks: z.array(z.object({ orderId: z.uuid(), seq: z.number().int().nonnegative() })),
  orders: z.array(z.object({ order: envelope, permit: envelope.nullable() })),
  keySetVersion: z.number().int().nonnegative(),
  scanNow: z.boolean(),
  /** {@link KNOWN_REPORTS} of the server; left out by servers before them. */
  knows: z.array(short).max(64).optional(),
});
export type PollReply = z.infer<typeof pollReply>;

export const inventoryPackage = z.strictObject({
  name: packageName,
  arch: architecture,
  version,
  source: packageName,
  sourceVersion: version,
});

export const inventoryRequest = z.strictObject({
  protocol: z.number().int().min(1),
  scanId: z.uuid(),
  /** The scan order this answers, if any. */
  orderId: z.uuid().nullable(),
  startedAt: epochMs,
  complete: z.boolean(),
  incompleteReason: reason.nullable(),
  provider: short,
  indexAgeSeconds: z.number().int().nonnegative().nullable(),
  auditClean: z.boolean(),
  rebootRequired: z.boolean(),
  facts: told,
  packages: z.array(inventoryPackage).max(20_000),
  updates: z
    .array(z.strictObject({ name: packageName, arch: architecture, installed: version.nullable(), candidate: version }))
    .max(20_000),
  services: z.array(z.strictObject({ name: short, active: z.boolean() })).max(5_000),
  listeners: z
    .array(
      z.strictObject({
        protocol: z.enum(['tcp', 'udp']),
        address: short,
        port: z.number().int().min(0).max(65_535),
        process: short.nullable(),
      }),
    )
    .max(5_000),
});
export type InventoryRequest = z.infer<typeof inventoryRequest>;
export const inventoryReply = z.object({ serverTime: epochMs, scanId: z.uuid() });

export const healthCheck = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('unit'), unit: short }),
  z.strictObject({ type: z.literal('port'), port: z.number().int().min(1).max(65_535) }),
  z.strictObject({ type: z.literal('http'), url: z.url(), status: z.number().int().default(200) }),
  /** A program installed on the endpoint under /etc/ringmaster-agent/checks.d. */
  z.strictObject({ type: z.literal('named'), name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,63}$/) }),
]);
export type HealthCheck = z.infer<typeof healthCheck>;

export const hook = z.strictObject({
  name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,63}$/),
  when: z.enum(['before', 'after']),
  onFailure: z.enum(['fail', 'ignore']),
  timeoutSeconds: z.number().int().min(1).max(3_600),
});
export type Hook = z.infer<typeof hook>;

const packageUpdate = z.strictObject({
  name: packageName,
  arch: architecture,
  /** Null: a new package that the upgrade pulls in. */
  from: version.nullable(),
  to: version,
  source: packageName,
  sha256,
  size: z.number().int().positive(),
  /** Of a rule whose fix installs this package: the file that was approved. Never sent to agents that do not heed it. */
  installs: z
    .strictObject({
      name: packageName,
      version,
      arch: architecture,
      sha256,
      /** The list of all files that may come with it (domain/content/brings.ts). Left out by servers that have none; as for `installs`. */
      brings: z
        .strictObject({
          sha256,
          size: z
            .number()
            .int()
            .positive()
            .max(1024 * 1024),
          packages: z.number().int().nonnegative(),
        })
        .optional(),
    })
    .optional(),
});
const oldPackage = z.strictObject({
  name: packageName,
  arch: architecture,
  version,
  sha256,
  size: z.number().int().positive(),
});

const storedFile = z.strictObject({ sha256, size: z.number().int().positive() });
const ruleId = z.string().regex(/^xccdf_[A-Za-z0-9.-]+_rule_[A-Za-z0-9._-]{1,200}$/);
const profileId = z.string().regex(/^xccdf_[A-Za-z0-9.-]+_profile_[A-Za-z0-9._-]{1,200}$/);

/** What an endpoint is measured by: exactly these bytes, this profile. Only in orders for endpoints that have provider `openscap`. */
export const baselineScope = z.strictObject({
  /** The checklist's digest: names data stream, profile and tailoring together. */
  checklist: sha256,
  dataStream: storedFile,
  tailoring: storedFile.nullable(),
  profile: profileId,
  /** By the names that updates have; empty: every rule of the profile. */
  rules: z.array(z.strictObject({ name: packageName, id: ruleId })).max(10_000),
  /** Of a scan of all rules: those to be watched between scans, from now on. */
  critical: z.array(ruleId).max(500),
  /** Of a scan: hand over the full results (ARF) of the newest assessment instead of making one. */
  handOver: z.boolean(),
});
export type BaselineScope = z.infer<typeof baselineScope>;

export const ruleResult = z.enum([
  'pass',
  'fail',
  'error',
  'unknown',
  'notapplicable',
  'notchecked',
  'informational',
  'fixed',
]);

/** POST /agent/v1/assessment: what a scan order with a baseline found. */
export const assessmentRequest = z.strictObject({
  protocol: z.number().int().min(1),
  orderId: z.uuid(),
  checklist: sha256,
  startedAt: epochMs,
  /** Only the order's own rules were tested: proof for a change, not an assessment. */
  partial: z.boolean(),
  /** The acknowledged revision that `results` are the differences to; null: they are all there are. */
  base: z.number().int().positive().nullable(),
  results: z.record(ruleId, ruleResult),
  /** Why there is no answer; `results` then means nothing. */
  problem: reason.nullable(),
  /** The full results, which stay on the endpoint. */
  arf: storedFile.nullable(),
});
export type AssessmentRequest = z.infer<typeof assessmentRequest>;
/**
 * The rules to be watched between scans, by checklist: what is not among them is watched no more. Left out by servers that do not say, and unknown
 * to older agents.
 */
const watched = z.record(sha256, z.array(ruleId).max(500)).optional();
/** `revision` null: not acknowledged as something to send differences to; `sendAll`: these differences fit nothing, send everything. */
export const assessmentReply = z.object({
  serverTime: epochMs,
  revision: z.number().int().positive().nullable(),
  sendAll: z.boolean(),
  watched,
});
export type AssessmentReply = z.infer<typeof assessmentReply>;

/** POST /agent/v1/noticed: what changed between scans. A server that has no such place answers 404, and nothing is lost but the news. */
export const noticedRequest = z.strictObject({
  protocol: z.number().int().min(1),
  items: z
    .array(
      z.strictObject({
        /** Told twice, it counts once. */
        key: z.string().regex(/^[0-9a-f]{32}$/),
        kind: z.enum(['listener', 'service', 'privilegedUser', 'package', 'rule']),
        action: z.enum(['added', 'removed', 'changed']),
        name: z.string().min(1).max(300),
        detail: z.record(z.string().max(64), z.string().max(1_000)),
        at: epochMs,
      }),
    )
    .min(1)
    .max(500),
});
export type NoticedRequest = z.infer<typeof noticedRequest>;
export const noticedReply = z.object({ serverTime: epochMs, watched });
export type NoticedReply = z.infer<typeof noticedReply>;

/** The payload of an order's envelope: all the agent may do, and the bytes it may do it with. */
export const orderDocument = z.strictObject({
  v: z.literal(1),
  orderId: z.uuid(),
  endpointId: z.uuid(),
  changeId: z.uuid().nullable(),
  kind: z.enum(['scan', 'stage', 'change', 'revert']),
  planDigest: sha256.nullable(),
  approvals: z.array(z.uuid()),
  issuedAt: epochMs,
  expiresAt: epochMs,
  provider: short,
  updates: z.array(packageUpdate),
  /** Files to go back to, by digest; what is missing here can't be reverted from the server's side. */
  previous: z.array(oldPackage),
  /** For a revert order: the change order it undoes. */
  reverts: z.uuid().nullable(),
  reboot: z.enum(['never', 'ifNeeded', 'always']),
  healthChecks: z.array(healthCheck),
  hooks: z.array(hook),
  /** Bytes per second for fetching content; null: no limit. */
  rateLimit: z.number().int().positive().nullable(),
  /** For provider `openscap`; never sent to agents that don't have it, so older ones need not know it. */
  baseline: baselineScope.optional(),
});
export type OrderDocument = z.infer<typeof orderDocument>;

/** The payload of a permit's envelope. */
export const permitDocument = z.strictObject({
  v: z.literal(1),
  orderId: z.uuid(),
  endpointId: z.uuid(),
  planDigest: sha256.nullable(),
  issuedAt: epochMs,
  /** Latest start, server time. */
  startBy: epochMs,
  /** Latest start of a reboot; null: no reboot on this permit, it waits. */
  rebootBy: epochMs.nullable(),
});
export type PermitDocument = z.infer<typeof permitDocument>;

/** The payload of the key set's envelope, signed by the offline root. */
export const keySetDocument = z.strictObject({
  v: z.literal(1),
  version: z.number().int().min(1),
  issuedAt: epochMs,
  expiresAt: epochMs,
  keys: z
    .array(
      z.strictObject({
        keyid: sha256,
        publicKey: z.string().regex(/^[A-Za-z0-9_-]{43}$/),
        notBefore: epochMs,
        notAfter: epochMs,
        revoked: z.boolean(),
      }),
    )
    .min(1)
    .max(16),
});
export type KeySetDocument = z.infer<typeof keySetDocument>;

export const joinLabels = labels;
