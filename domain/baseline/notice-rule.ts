/** What happens when an endpoint notices something: who is told, how urgently, and who next when nobody answers. */
import { z } from 'zod';
import { namesMatch } from '../content/index.js';
import { type Group, matches, type Selectable } from '../fleet/selector.js';
import { selectorSchema } from '../fleet/selector-schema.js';

export const NOTICE_KINDS = ['listener', 'service', 'privilegedUser', 'package', 'rule'] as const;
export type NoticeKind = (typeof NOTICE_KINDS)[number];

const recipients = z
  .strictObject({
    role: z.enum(['Administrator', 'Manager', 'Operator', 'User']).optional(),
    accounts: z.array(z.uuid()).max(100).optional(),
  })
  .refine((some) => some.role !== undefined || (some.accounts?.length ?? 0) > 0, 'must name a role or accounts');

export const noticeRuleSchema = z
  .strictObject({
    precedence: z.number().int().min(-1_000_000).max(1_000_000),
    appliesTo: selectorSchema,
    kinds: z.array(z.enum(NOTICE_KINDS)).min(1),
    /** Of the name: `tcp *:23`, a service, a user, a package, a rule; `*` stands for any run of characters. */
    name: z.string().min(1).max(300).default('*'),
    actions: z
      .array(z.enum(['added', 'removed', 'changed']))
      .min(1)
      .default(['added', 'changed']),
    /** Also what a change of ours did. */
    explainedToo: z.boolean().default(false),
    /** `ignore` keeps it from rules of lower precedence. */
    respond: z.enum(['ignore', 'alert', 'ticket', 'incident']),
    severity: z.enum(['low', 'medium', 'high', 'critical']).default('medium'),
    recipients: recipients.optional(),
    /** An incident that nobody acknowledged by then is told to these as well. */
    escalate: z.strictObject({ afterMinutes: z.number().int().min(1).max(10_080), to: recipients }).optional(),
    /** Of a rule of a baseline: a remediation of it is requested at once, through the expedite policy's rings and approvals. */
    expedite: z.boolean().default(false),
  })
  .refine((rule) => !rule.expedite || rule.kinds.every((kind) => kind === 'rule'), {
    message: 'is possible for kind rule only',
    path: ['expedite'],
  });
export type NoticeRule = z.infer<typeof noticeRuleSchema>;
export interface NamedNoticeRule extends NoticeRule {
  readonly ruleName: string;
}

export interface Notice {
  readonly kind: NoticeKind;
  readonly action: 'added' | 'removed' | 'changed';
  readonly name: string;
  readonly explained: boolean;
}

/** The rule that counts, or null: then it is only on record. Equal precedences: the name that comes first. */
export function noticeRuleFor(args: {
  readonly notice: Notice;
  readonly endpoint: Selectable;
  readonly rules: readonly NamedNoticeRule[];
  readonly groups: ReadonlyMap<string, Group>;
}): NamedNoticeRule | null {
  const { notice, endpoint, groups } = args;
  const fitting = args.rules.filter(
    (rule) =>
      rule.kinds.includes(notice.kind) &&
      rule.actions.includes(notice.action) &&
      (rule.explainedToo || !notice.explained) &&
      namesMatch(rule.name, [notice.name]) &&
      matches({ endpoint, selector: rule.appliesTo, groups }),
  );
  fitting.sort((a, b) => b.precedence - a.precedence || (a.ruleName < b.ruleName ? -1 : 1));
  return fitting[0] ?? null;
}
