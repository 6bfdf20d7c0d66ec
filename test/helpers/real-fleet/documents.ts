/** What is configured over the web tier: policies, repositories, changes. */
import type { ApprovalRule } from '../../../domain/approval/rule.js';
import type { ChangeSpec, RingSpec } from '../../../domain/change/spec.js';
import { type Lab, labComponent, labSuite } from '../../../lab/index.js';
import { archiveKeyring } from '../../../lab/requirements.js';
import { release } from '../../../lab/sources.js';

/** One suite of the lab's own repository. */
export const labRepository = (lab: Lab) => ({
  lab: {
    uri: `${lab.relayUrl}/lab`,
    suite: labSuite,
    components: [labComponent],
    architecture: debArchitecture(),
    keyring: { armored: lab.repo.publicKey },
  },
});

/** The distribution's release, updates and security suites, by the lab's relay. */
export const archiveRepositories = (lab: Lab) =>
  Object.fromEntries(
    [
      ['debian', release],
      ['debian-updates', `${release}-updates`],
      ['debian-security', `${release}-security`],
    ].map(([segment, suite]) => [
      segment,
      {
        uri: `${lab.relayUrl}/${segment}`,
        suite,
        components: ['main'],
        architecture: debArchitecture(),
        keyring: { files: [archiveKeyring] },
        tolerateExpired: true,
      },
    ]),
  );

const debArchitecture = () => (process.arch === 'x64' ? 'amd64' : process.arch);

/** Open around the clock, no reboots; `over` says otherwise. */
export const openPolicy = (over: Readonly<Record<string, unknown>> = {}) => ({
  appliesTo: { all: true },
  hours: { communicate: { always: true }, stage: { always: true }, apply: { always: true } },
  freezeCalendars: [],
  reboot: 'never',
  expectedMinutes: 1,
  healthChecks: [],
  hooks: [],
  stageRateLimit: null,
  ...over,
});

/** Hours in which hosts may be changed every day from `opens` for `duration`, in the host's own zone. */
export const dailyHours = (window: { readonly opens: Date; readonly zone: string; readonly duration: string }) => ({
  communicate: { always: true },
  stage: { always: true },
  apply: {
    windows: [
      {
        rrule: 'FREQ=DAILY',
        from: wallTime(window.opens, window.zone),
        duration: window.duration,
        zone: 'endpoint',
      },
    ],
  },
});

/** `HH:MM` on a wall in that zone. */
const wallTime = (at: Date, zone: string): string =>
  new Intl.DateTimeFormat('en-GB', { timeZone: zone, hour: '2-digit', minute: '2-digit', hourCycle: 'h23' }).format(at);

/** A ring without approvals that forgives nothing; all of its share. */
export const ringOf = (over: Partial<RingSpec> = {}): RingSpec => ({
  name: 'all',
  select: { sharePercent: 100 },
  maxInFlight: 4,
  errorBudget: { count: 0 },
  successThresholdPercent: 100,
  minSample: 0,
  soakMinutes: 0,
  approvals: [],
  deadlineMinutes: 60,
  haltAction: 'pause',
  ...over,
});

export const patchOf = (args: {
  readonly name: string;
  /** Which endpoints, unless `over` has another scope. */
  readonly labels?: Readonly<Record<string, string>>;
  /** As in `parameters.include` of a patch cycle. */
  readonly include: 'all' | { readonly packages?: readonly string[]; readonly sources?: readonly string[] };
  /** Packages or sources to leave out. */
  readonly exclude?: readonly string[];
  readonly rings?: readonly RingSpec[];
  readonly over?: Partial<ChangeSpec>;
}): ChangeSpec => ({
  kind: 'patch',
  name: args.name,
  reason: 'a test on real hosts',
  scope: args.labels === undefined ? { all: true } : { labels: args.labels },
  rings: args.rings ?? [ringOf()],
  priority: 0,
  deadlineMinutes: 120,
  offlineAfterMinutes: 60,
  parameters: { include: args.include, exclude: args.exclude ?? [], discoverMinutes: 2, confirmMinutes: 3 },
  ...args.over,
});

/** One approval by this person, with the code from the second channel. */
export const approvalBy = (accountId: string): ApprovalRule => ({
  from: { accounts: [accountId] },
  quorum: 1,
  remindEveryMinutes: 30,
  escalateAfterMinutes: 60,
  escalateTo: { role: 'Administrator' },
  expireAfterMinutes: 120,
  highRisk: true,
});
