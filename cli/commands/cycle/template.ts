/** What `cycle init` writes: a specification that is accepted as it is, once its scope names something. */
const approval = (indent: string): string =>
  [
    'approvals:',
    '  - from: {stakeholder: itOwner}   # or {role: Manager}, {accounts: [id, …]}',
    '    quorum: 1                      # distinct people; who asked never counts',
    '    remindEveryMinutes: 240',
    '    escalateAfterMinutes: 1440',
    '    escalateTo: {role: Administrator}',
    '    expireAfterMinutes: 4320       # then the ring stays shut; silence never approves',
    '    highRisk: false                # true: a one-time code, sent another way than the link',
  ]
    .map((line) => indent + line)
    .join('\n');

const ring = (args: {
  name: string;
  select: string;
  maxInFlight: number;
  budget: string;
  threshold: number;
  sample: number;
  soak: number;
  approve: boolean;
  remark: string;
}): string => `  - name: ${args.name}${args.remark}
    select: ${args.select}
    maxInFlight: ${args.maxInFlight}
    errorBudget: ${args.budget}
    successThresholdPercent: ${args.threshold}
    minSample: ${args.sample}
    soakMinutes: ${args.soak}
${args.approve ? approval('    ') : '    approvals: []'}
    deadlineMinutes: 10080
    haltAction: pause
`;

export const CYCLE_TEMPLATE = `# A patch cycle. Check it with \`ringmaster cycle plan FILE\`, start it with \`ringmaster cycle start FILE\`.
kind: patch
name: Monthly patches
reason: Updates of this month
# Which endpoints: any of {all: true}, {groups: […]}, {labels: {key: value}}, {names: […]}, {ids: […]}; all given must match.
scope: {all: true}
# 0 is routine; higher goes first in every queue.
priority: 0
# From the request (two weeks here); after it nothing new begins.
deadlineMinutes: 20160
# Silent for longer counts as offline: such an endpoint is caught up later, and does not hold up its ring.
offlineAfterMinutes: 60
parameters:
  include: all           # or security, or {packages: […], sources: […], cves: […]}
  exclude: []            # packages or sources to leave out; * stands for any run of characters
  minAgeDays: 0          # days since a verified index first named the version
  minAgeDaysSecurity: 0
  defer: []              # [{package: linux-image-*, reason: …, until: 2026-12-24T00:00:00Z}]
  scanMaxAgeHours: 24    # older inventories are asked for again before planning
# Rings choose in their order from what earlier ones left. Per ring:
#   select                   a selector as above, or {sharePercent: n} of what is left
#   maxInFlight              orders under way at once, reached by a slow start (1, 2, 4 …)
#   errorBudget              {count: n} or {percent: n} of the ring; one more failure halts it
#   successThresholdPercent  of succeeded + failed, to go on to the next ring
#   minSample                outcomes needed for that (or the whole of a smaller ring)
#   soakMinutes              waited after the last order, before the ring is judged
#   approvals                asked before the ring opens; [] asks for none, and the record says so
#   deadlineMinutes          from the ring's opening; what has not begun by then is caught up later
#   haltAction               pause, rollback or ask
#   disruptionBudget         optional: failed + in flight never exceed it
#   hostOrder                optional: selectors in the order in which endpoints go
rings:
${[
  ring({
    name: 'test',
    select: '{sharePercent: 1}   # or the endpoints of a test group: {groups: [test]}',
    maxInFlight: 2,
    budget: '{count: 0}',
    threshold: 100,
    sample: 1,
    soak: 60,
    approve: false,
    remark: '            # ring 0 is the test group',
  }),
  ring({
    name: 'canary',
    select: '{sharePercent: 5}',
    maxInFlight: 10,
    budget: '{percent: 2}',
    threshold: 98,
    sample: 1,
    soak: 240,
    approve: true,
    remark: '',
  }),
  ring({
    name: 'early',
    select: '{sharePercent: 20}',
    maxInFlight: 50,
    budget: '{percent: 2}',
    threshold: 98,
    sample: 5,
    soak: 720,
    approve: false,
    remark: '',
  }),
  ring({
    name: 'broad',
    select: '{sharePercent: 50}',
    maxInFlight: 100,
    budget: '{percent: 2}',
    threshold: 98,
    sample: 10,
    soak: 720,
    approve: true,
    remark: '',
  }),
  ring({
    name: 'rest',
    select: '{sharePercent: 100}',
    maxInFlight: 100,
    budget: '{percent: 2}',
    threshold: 95,
    sample: 10,
    soak: 0,
    approve: false,
    remark: '',
  }),
].join('')}`;
