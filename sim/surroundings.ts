/** What all endpoints of a fleet share. */
import type { KeyObject } from 'node:crypto';
import { acceptKeySet, trustedKeys } from '../agent/transport/key-set.js';
import type { EnrolReply, KeySetDocument, KeySetReply } from '../protocol/messages.js';
import type { Agenda } from './agenda.js';
import type { Connections } from './connections.js';
import type { Endpoint } from './endpoint.js';
import { type Caller, call } from './gateway.js';

export interface Stats {
  enrolled: number;
  /** Wake-up channels that are up. */
  awake: number;
  wakes: number;
  polls: number;
  scans: number;
  orders: number;
  failedRequests: number;
  untrusted: number;
  lastError: string | null;
}

export const newStats = (): Stats => ({
  enrolled: 0,
  awake: 0,
  wakes: 0,
  polls: 0,
  scans: 0,
  orders: 0,
  failedRequests: 0,
  untrusted: 0,
  lastError: null,
});

export interface Surroundings {
  readonly url: URL;
  readonly ca?: string;
  readonly zone: string;
  readonly connections: Connections;
  readonly agenda: Agenda<Endpoint>;
  readonly trust: Trust;
  readonly stats: Stats;
  /** Hold wake-up channels. */
  readonly wakeUp: boolean;
  /** How far polls are spread after a wake-up, and after a channel came up. */
  readonly wakeSpreadMs: number;
  readonly reconnectSpreadMs: number;
  /** How long reports gather while work is under way. */
  readonly reportBatchMs: number;
  readonly orderTaken: (changeId: string, kind: string) => void;
}

/** The keys orders may be signed with: verified as every agent does, but once for the fleet, for all have the same server. */
export class Trust {
  private root: { readonly publicKey: string; readonly fingerprint: string } | null = null;
  private keySet: KeySetDocument | null = null;
  private cached: { readonly keys: ReadonlyMap<string, KeyObject>; readonly until: number } | null = null;
  private fetching: Promise<void> | null = null;

  /** @throws Error when the server is not the one the join token names. */
  enrolled(reply: EnrolReply, rootFingerprint: string): void {
    if (this.keySet !== null && this.root?.fingerprint === rootFingerprint) return;
    this.root = { publicKey: reply.rootPublicKey, fingerprint: rootFingerprint };
    this.accept(reply.keySet);
  }

  /** Sees to it that the key set is at least this version. */
  async upTo(version: number, connections: Connections, caller: Caller): Promise<void> {
    if (version <= (this.keySet?.version ?? 0)) return;
    this.fetching ??= call<KeySetReply>(connections, caller, { method: 'GET', path: '/agent/v1/key-set' })
      .then((reply) => this.accept(reply.keySet))
      .finally(() => {
        this.fetching = null;
      });
    await this.fetching.catch(() => undefined);
  }

  keys(now: number): ReadonlyMap<string, KeyObject> {
    if (this.cached === null || now >= this.cached.until)
      this.cached = { keys: this.keySet === null ? new Map() : trustedKeys(this.keySet, now), until: now + 10_000 };
    return this.cached.keys;
  }

  private accept(envelope: EnrolReply['keySet']): void {
    if (this.root === null) throw new Error('not enrolled');
    const accepted = acceptKeySet({
      envelope,
      rootPublicKey: this.root.publicKey,
      rootFingerprint: this.root.fingerprint,
      newestVersion: this.keySet?.version ?? 0,
    });
    if (!accepted.ok) throw new Error(accepted.reason);
    this.keySet = accepted.keySet;
    this.cached = null;
  }
}
