/** Judges what agents noticed: opens incidents, notes work, tells people, tells others when nobody answers, asks for an expedited change. */
import type { Pool, PoolClient } from 'pg';
import { appendAudit } from '../db/audit/append.js';
import { askForRecovered, loadQuietRules, type RuleOn } from '../db/baseline/drift.js';
import { expediteRule } from '../db/baseline/expedite.js';
import {
  type IncidentRow,
  loadNoticeRules,
  noteExpedited,
  openIncident,
  recipientAddresses,
  takeUnanswered,
  takeUnjudged,
  type UnjudgedRow,
} from '../db/baseline/notices.js';
import { loadSelectables } from '../db/endpoints/selectable.js';
import { queueMail } from '../db/mail/outbox.js';
import { loadGroups } from '../db/policy/load.js';
import { inTransaction } from '../db/pool.js';
import { noteWork, type Work } from '../db/tickets/work.js';
import { type NamedNoticeRule, noticeRuleFor } from '../domain/baseline/notice-rule.js';
import { isDrift } from '../domain/baseline/results.js';
import { shortRuleId } from '../domain/baseline/rule-name.js';
import { EXPEDITED_PRIORITY } from '../domain/change/spec.js';
import { type EpochMs, MINUTE } from '../domain/time.js';
import { changeWorkflowId } from '../workflows/ids.js';
import { lookedFor } from './look.js';
import type { Duty } from './loops.js';

const BATCH = 500;
const ADMINISTRATORS = { role: 'Administrator' } as const;
const WORDS = {
  listener: 'listens on',
  service: 'runs service',
  privilegedUser: 'has privileged user',
  package: 'has package',
  rule: 'result of rule',
} as const;

export function noticeDuty(deps: {
  readonly pool: Pool;
  readonly clock: () => EpochMs;
  readonly publicUrl: string;
}): Duty {
  const { pool, clock } = deps;
  return {
    ...lookedFor('notices'),
    run: () =>
      inTransaction(pool, async (client) => {
        const now = clock();
        const rules = await loadNoticeRules(client);
        const notices = await takeUnjudged(client, { limit: BATCH, now });
        if (notices.length > 0) await judgeAll(client, { ...deps, notices, rules, now });
        for (const incident of await takeUnanswered(client, now))
          await escalate(client, { incident, rules, publicUrl: deps.publicUrl });
        return notices.length === BATCH;
      }),
  };
}

async function judgeAll(
  client: PoolClient,
  args: {
    readonly notices: readonly UnjudgedRow[];
    readonly rules: readonly NamedNoticeRule[];
    readonly now: EpochMs;
    readonly publicUrl: string;
  },
): Promise<void> {
  const { notices, rules, now } = args;
  const [found, groups] = await Promise.all([
    loadSelectables(client, { endpointIds: [...new Set(notices.map((notice) => notice.endpointId))] }),
    loadGroups(client),
  ]);
  const endpoints = new Map(found.map((endpoint) => [endpoint.id, endpoint]));
  const isRecovery = (notice: UnjudgedRow) => notice.kind === 'rule' && !isDrift(notice.detail.after);
  const quiet = await loadQuietRules(client, { rules: rulesOf(notices), endpoints: found, groups, now });
  const works: Work[] = [];
  // Taken by id: what came first is judged first.
  for (const notice of notices.toSorted((a, b) => a.id - b.id)) {
    const endpoint = endpoints.get(notice.endpointId);
    if (endpoint === undefined || notice.repeated || !notice.watched || isRecovery(notice)) continue;
    const rule = noticeRuleFor({ notice, endpoint, rules, groups });
    if (rule?.respond === 'ignore') continue;
    const incident = rule === null ? null : await respond(client, { ...args, notice, rule, endpoint: endpoint.name });
    const work = workOf({ notice, rule, incident });
    if (work !== null && !quiet.has(`${notice.endpointId}/${notice.name}`)) works.push(work);
  }
  await noteWork(client, { works, now });
  await askForRecovered(client, { rules: rulesOf(notices.filter(isRecovery)), now });
}

const rulesOf = (notices: readonly UnjudgedRow[]): RuleOn[] =>
  notices.flatMap(({ kind, endpointId, name }) => (kind === 'rule' ? [{ endpointId, ruleId: name }] : []));

/**
 * What somebody must do about it: drift of a critical rule always, unless a change of ours explains it; anything else, and what is
 * explained, where a notice rule says `ticket`. The one way from what is noticed to a work ticket.
 */
function workOf(args: {
  readonly notice: UnjudgedRow;
  readonly rule: NamedNoticeRule | null;
  readonly incident: string | null;
}): Work | null {
  const { notice, rule, incident } = args;
  const { endpointId, kind, name, action } = notice;
  if (rule?.respond !== 'ticket' && (kind !== 'rule' || notice.explained)) return null;
  const about = kind === 'rule' ? { rule: name } : { what: `${kind} ${name}` };
  return {
    kind: 'drift',
    endpointId,
    subject: kind === 'rule' ? name : `${kind} ${name}`,
    changeId: null,
    reason:
      kind === 'rule'
        ? `${shortRuleId(name)}${detailOf(notice)}`
        : `${WORDS[kind]} ${name} (${action}${detailOf(notice)})`,
    evidence: { ...about, noticed: notice.id, ...notice.detail, ...(incident === null ? {} : { incident }) },
  };
}

/** A notice that a rule is for. */
interface RuleHit {
  readonly notice: UnjudgedRow;
  readonly rule: NamedNoticeRule;
  /** The endpoint's name. */
  readonly endpoint: string;
  readonly now: EpochMs;
}

/** Opens or counts the incident; of a new one people are told, and a remediation is requested where the rule wants it. @returns its id */
async function respond(client: PoolClient, args: RuleHit & { readonly publicUrl: string }): Promise<string> {
  const { notice, rule, now } = args;
  const summary = `${args.endpoint}: ${WORDS[notice.kind]} ${notice.name} (${notice.action}${detailOf(notice)})`;
  const escalateAt = rule.escalate === undefined ? null : now + rule.escalate.afterMinutes * MINUTE;
  const { id, fresh } = await openIncident(client, { notice, rule, summary, escalateAt, now });
  if (!fresh) return id;
  if (rule.expedite && notice.action !== 'removed') {
    const expedited = await expediteRule(client, {
      endpointId: notice.endpointId,
      endpoint: args.endpoint,
      ruleId: notice.name,
      reason: `critical drift, by notice rule ${rule.ruleName}`,
      requestedBy: `notice-rule/${rule.ruleName}`,
      now,
      workflowId: changeWorkflowId,
    });
    if (expedited.kind !== 'refused') await noteExpedited(client, { id, changeId: expedited.changeId });
    else
      await appendAudit(client, [
        {
          actor: 'worker',
          action: 'incident.notExpedited',
          subject: `incident/${id}`,
          detail: { reason: expedited.reason },
        },
      ]);
  }
  if (rule.recipients !== undefined) {
    const incident = { id, severity: rule.severity, summary };
    await tell(client, {
      key: `incident ${id}`,
      to: rule.recipients,
      incident,
      text: summary,
      publicUrl: args.publicUrl,
    });
  }
  return id;
}

const detailOf = ({ detail }: UnjudgedRow): string =>
  typeof detail.after === 'string' ? `: ${String(detail.before ?? '?')} → ${detail.after}` : '';

/** Tells those whom the notice rule names now. One that is gone, or escalates to nobody any more, keeps no incident from being heard of. */
async function escalate(
  client: PoolClient,
  args: { readonly incident: IncidentRow; readonly rules: readonly NamedNoticeRule[]; readonly publicUrl: string },
): Promise<void> {
  const { incident, publicUrl } = args;
  const rule = args.rules.find(({ ruleName }) => ruleName === incident.rule);
  const lost = rule === undefined ? 'is gone' : rule.escalate === undefined ? 'escalates to nobody any more' : null;
  if (lost !== null)
    await appendAudit(client, [
      {
        actor: 'worker',
        action: 'incident.escalatedToAdministrators',
        subject: `incident/${incident.id}`,
        detail: { reason: `notice rule ${incident.rule} ${lost}` },
      },
    ]);
  await tell(client, {
    key: `incident ${incident.id} escalated`,
    to: rule?.escalate?.to ?? ADMINISTRATORS,
    incident,
    text: `${incident.summary}\nNobody has acknowledged it since ${incident.openedAt.toISOString()}.`,
    publicUrl,
  });
}

/** Administrators hear what is meant for people of whom none has an address; if they have none either, that is on record at least. */
async function tell(
  client: PoolClient,
  args: {
    readonly key: string;
    readonly to: { readonly role?: string | undefined; readonly accounts?: readonly string[] | undefined };
    readonly incident: { readonly id: string; readonly severity: string; readonly summary: string };
    readonly text: string;
    readonly publicUrl: string;
  },
): Promise<void> {
  const asked = await recipientAddresses(client, args.to);
  const addresses = asked.length > 0 ? asked : await recipientAddresses(client, ADMINISTRATORS);
  if (asked.length === 0)
    await appendAudit(client, [
      {
        actor: 'worker',
        action: addresses.length === 0 ? 'incident.toldNobody' : 'incident.toldAdministrators',
        subject: `incident/${args.incident.id}`,
        detail: { reason: 'nobody it is for has an address', to: args.to },
      },
    ]);
  const link = new URL('/incidents', args.publicUrl).href;
  const text = `${args.text}\n\n${link}\n`;
  await queueMail(
    client,
    addresses.map((recipient) => ({
      key: `${args.key} ${recipient}`,
      recipient,
      subject: `[${args.incident.severity}] ${args.incident.summary}`.slice(0, 200),
      text,
      html: `<pre>${text.replace(/[&<>]/g, (char) => `&#${char.charCodeAt(0)};`)}</pre>`,
      priority: args.incident.severity === 'critical' ? EXPEDITED_PRIORITY : 0,
    })),
  );
}
