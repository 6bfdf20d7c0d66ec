/** The words of tickets: plain text, in UTC, that reads by itself years later in somebody else's system. */
import { EVIDENCE_LIST_LIMIT, type Evidence, endpointsInWords } from '../approval/evidence.js';
import type { EpochMs } from '../time.js';

/** Lists in a ticket stop here and say how many more there are. */
const LISTED = 30;
const LONGEST_LINE = 500;

export interface ChangeWords {
  readonly id: string;
  readonly kind: string;
  readonly name: string;
  readonly reason: string;
  readonly priority: number;
  readonly requestedBy: string;
  readonly requestedAt: EpochMs;
  readonly deadline: EpochMs;
  readonly planDigest: string | null;
  readonly rings: readonly Omit<Evidence, 'when' | 'overrides'>[];
}

export const utc = (at: EpochMs): string => `${new Date(at).toISOString().slice(0, 16).replace('T', ' ')} UTC`;

const KINDS: Readonly<Record<string, string>> = {
  patch: 'Patch cycle',
  remediation: 'Remediation',
  agentUpdate: 'Agent update',
};
const kindInWords = (kind: string): string => KINDS[kind] ?? `Change (${kind})`;

/** One line of somebody's text: no line breaks or control characters that would look like ours. */
const line = (text: string): string =>
  text
    .replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ')
    .trim()
    .slice(0, LONGEST_LINE);

const listed = (items: readonly string[], total = items.length): string[] => [
  ...items.slice(0, LISTED).map((item) => `  - ${line(item)}`),
  ...(total > LISTED ? [`  - … and ${total - LISTED} more`] : []),
];

export const changeSubject = (change: Pick<ChangeWords, 'kind' | 'name' | 'priority'>): string =>
  `${change.priority > 0 ? `[priority ${change.priority}] ` : ''}${kindInWords(change.kind)}: ${line(change.name)}`.slice(
    0,
    200,
  );

/** The first text of a change's ticket: what, why, who, and the whole plan with its evidence. */
export function changeText(change: ChangeWords, link: string): string {
  const lines = [
    `${kindInWords(change.kind)} “${line(change.name)}”, requested by ${line(change.requestedBy)} on ${utc(change.requestedAt)}.`,
    `Why: ${line(change.reason)}`,
    `Deadline: ${utc(change.deadline)}`,
    `Look at it: ${link}`,
    '',
    ...(change.planDigest === null
      ? ['It ended before there was a plan.']
      : [
          `Plan digest: ${change.planDigest}`,
          'Approvals are of exactly this plan; a plan that asks for more has another digest.',
        ]),
    ...change.rings.flatMap(ringLines),
  ];
  return lines.join('\n');
}

function ringLines(evidence: ChangeWords['rings'][number]): string[] {
  const { ring, updates, totals, cves, risk, leftOut, endpointNames } = evidence;
  return [
    '',
    `Ring ${ring.ordinal} “${line(ring.name)}”: ${endpointsInWords(ring.endpoints)}`,
    ...listed(endpointNames, Math.max(ring.endpoints, endpointNames.length)),
    ' Updates:',
    ...listed(updates.map(updateInWords), Math.max(totals.updates, updates.length)),
    ...(cves.length === 0 ? [] : [` Fixes ${cves.slice(0, EVIDENCE_LIST_LIMIT).join(', ')}`]),
    ...(leftOut.length === 0 ? [] : [' Left out:']),
    ...listed(
      leftOut.map((one) => `${one.what} (${one.outcome}: ${one.reason}), ${endpointsInWords(one.endpoints)}`),
      totals.leftOut,
    ),
    ' Risk and limits:',
    ...listed([...risk, ...ring.limits]),
  ];
}

const updateInWords = (update: Evidence['updates'][number]): string =>
  `${update.source} ${update.from} → ${update.to} (${update.packages.slice(0, 10).join(', ')}), ${endpointsInWords(update.endpoints)}` +
  (update.cves.length === 0 ? '' : `; ${update.cves.slice(0, 10).join(', ')}`);

export interface RequestWords {
  readonly evidence: Evidence;
  readonly quorum: number;
  readonly highRisk: boolean;
  readonly expiresAt: EpochMs;
  readonly people: readonly string[];
}

/** That somebody is asked, and how one answers here. */
export function askText(request: RequestWords, inTicket: boolean): string {
  const { evidence } = request;
  const needed = request.quorum === 1 ? 'one approval' : `${request.quorum} approvals`;
  return [
    `Ring ${evidence.ring.ordinal} “${line(evidence.ring.name)}” waits for ${needed}, until ${utc(request.expiresAt)}.`,
    `Asked: ${request.people.length === 0 ? 'nobody can be asked' : request.people.slice(0, LISTED).map(line).join(', ')}`,
    ...(evidence.when.length === 0 ? [] : ['When:', ...listed(evidence.when)]),
    ...(evidence.test.length === 0 ? [] : ['Rings before:', ...listed(evidence.test.map(testInWords))]),
    ...(evidence.risk.length === 0 ? [] : ['Risk:', ...listed(evidence.risk)]),
    ...(evidence.overrides ?? []).map(line),
    '',
    ...(inTicket
      ? [
          'Whoever was asked may decide here, on a line of its own:',
          `  approve ${evidence.planDigest}${request.highRisk ? ' and your one-time code' : ''}`,
          `  reject ${evidence.planDigest}${request.highRisk ? ' your one-time code' : ''} and why`,
        ]
      : ['Decide on the page of the mail that was sent; what is written here decides nothing.']),
  ].join('\n');
}

const testInWords = (ring: Evidence['test'][number]): string =>
  `${ring.name}: ${ring.succeeded} succeeded, ${ring.failed} failed, ${ring.other} open` +
  (ring.failures.length === 0 ? '' : ` (${ring.failures.slice(0, 5).join('; ')})`);

const text = (value: unknown): string =>
  typeof value === 'string' || typeof value === 'number' ? line(String(value)) : '';
const because = (value: unknown): string => (text(value) === '' ? '' : `: ${text(value)}`);

/** What a comment says of something that happened to a change; null for what needs more than its payload. */
export function happenedText(payload: Readonly<Record<string, unknown>>): string | null {
  const [what = ''] = String(payload.what ?? '').split('/');
  const when = typeof payload.at === 'number' ? `${utc(payload.at)} · ` : '';
  const says = saying(what, payload);
  return says === null ? null : when + says;
}

function saying(what: string, payload: Readonly<Record<string, unknown>>): string | null {
  switch (what) {
    case 'stage':
      return `Stage ${text(payload.stage)}${payload.waitingFor === undefined ? '' : `; waits: ${text(payload.waitingFor)}`}`;
    case 'replanned':
      return `The plan was made anew (revision ${text(payload.revision)}). Plan digest: ${text(payload.planDigest)}`;
    case 'halted':
      return `Halted (${text(payload.verb)}) by ${text(payload.by)}. Nothing new begins.`;
    case 'resumed':
      return 'Resumed.';
    case 'ring':
      return payload.halted === true
        ? `Ring ${text(payload.ring)} “${text(payload.name)}” is halted by ${text(payload.by)}${because(payload.reason)}`
        : `Ring ${text(payload.ring)} “${text(payload.name)}”: ${text(payload.state)}`;
    case 'decision':
      return payload.state === 'counted'
        ? `${text(payload.by)} decided on ring ${text(payload.ring)}: ${text(payload.decision)}${because(payload.comment)}`
        : `The decision of ${text(payload.by)} on ring ${text(payload.ring)} does not count${because(payload.reason)}`;
    case 'approval':
      return payload.state === 'open'
        ? null
        : `The approval request for ring ${text(payload.ring)} is ${text(payload.state)}.`;
    case 'said':
      return text(payload.text);
    default:
      return null;
  }
}

/** How a change ended, and what its ticket waits for if it stays open. */
export function closedText(args: {
  readonly outcome: string;
  readonly summary: Readonly<Record<string, unknown>> | null;
  readonly link: string;
}): string {
  const { outcome, summary } = args;
  const count = (key: string): string[] => (typeof summary?.[key] === 'number' ? [`${key} ${summary[key]}`] : []);
  const stays = outcome === 'failed' || outcome === 'expired' || outcome === 'completedWithFailures';
  return [
    `The change is closed: ${outcome}${because(summary?.reason)}`,
    `By scans after the work: ${[...['confirmed', 'missing', 'unconfirmed', 'failed', 'expired', 'unsettled'].flatMap(count)].join(', ') || 'nothing to confirm'}`,
    `Evidence: ${args.link}`,
    ...(stays ? ['This ticket stays open: not everything was confirmed, and somebody must look at it.'] : []),
  ].join('\n');
}

export interface WorkWords {
  readonly kind: 'failedEndpoint' | 'straggler' | 'drift';
  readonly endpoint: string;
  readonly reason: string;
  readonly seen: number;
  readonly changeName: string | null;
  /** Updates that are to be installed, as planned; the first fifty. */
  readonly updates: readonly { readonly name: string; readonly from: string | null; readonly to: string }[];
  /** What happened to its order, oldest first; the last twenty. */
  readonly events: readonly {
    readonly at: Date;
    readonly event: string;
    readonly to: string;
    readonly reason: string | null;
  }[];
  readonly evidence: Readonly<Record<string, unknown>>;
}

const WORK: Readonly<Record<WorkWords['kind'], string>> = {
  failedEndpoint: 'Failed endpoint',
  straggler: 'Straggler past due',
  drift: 'Critical drift',
};

export const workSubject = (work: WorkWords): string =>
  `${WORK[work.kind]}: ${line(work.endpoint)}: ${line(work.reason)}`.slice(0, 200);

const settledByScan = (minutes: number): string[] => [
  `When it is done, resolve this ticket: the endpoint is then scanned within ${minutes} minutes. A scan that proves it closes`,
  'the matter; one that does not opens this ticket again, with what it found.',
];
const settledByNotice = (incident: string): string[] => [
  'This ticket closes when the endpoint itself says that it is as before.',
  `If it may stay as it is, close incident ${incident} instead.`,
];

/** What somebody must do on an endpoint, and how it is proven. */
export function workText(work: WorkWords, args: { readonly link: string; readonly rescanMinutes: number }): string {
  const rule = text(work.evidence.rule);
  return [
    `${WORK[work.kind]} on ${line(work.endpoint)}: ${line(work.reason)}`,
    ...(work.changeName === null ? [] : [`Change: ${line(work.changeName)}`]),
    ...(rule === '' ? [] : [`Rule: ${line(rule)}`]),
    ...(work.evidence.after === undefined
      ? []
      : [`It was: ${line(text(work.evidence.before))}, it is: ${line(text(work.evidence.after))}`]),
    `Look at it: ${args.link}`,
    ...(work.updates.length === 0
      ? []
      : ['', 'To be installed:', ...listed(work.updates.map((u) => `${u.name} ${u.from ?? 'new'} → ${u.to}`))]),
    ...(work.events.length === 0
      ? []
      : [
          '',
          'What happened:',
          ...listed(
            work.events.map(
              (e) => `${utc(e.at.getTime())} ${e.event} → ${e.to}${e.reason === null ? '' : `: ${e.reason}`}`,
            ),
          ),
        ]),
    '',
    ...(work.kind === 'drift' && rule === ''
      ? settledByNotice(text(work.evidence.incident))
      : settledByScan(args.rescanMinutes)),
  ].join('\n');
}
