/** Every resource below /v1. One folder each; a new one is one line here. */
import { roleRoutes } from './accounts/role-routes.js';
import { accountRoutes } from './accounts/routes.js';
import { selfRoutes } from './accounts/self-routes.js';
import { tokenRoutes } from './accounts/token-routes.js';
import { approvalRoutes } from './approvals/routes.js';
import { auditRoutes } from './audit/routes.js';
import { assignmentRoutes } from './baselines/assignment-routes.js';
import { complianceRoutes } from './baselines/compliance-routes.js';
import { goldRoutes } from './baselines/gold-routes.js';
import { noticeRoutes } from './baselines/notice-routes.js';
import { packageListRoutes } from './baselines/package-list-routes.js';
import { baselineRoutes } from './baselines/routes.js';
import { commandRoutes } from './changes/command-routes.js';
import { changePlanRoutes } from './changes/plan-routes.js';
import { changeRoutes } from './changes/routes.js';
import { closedLoopRoutes } from './closed-loop/routes.js';
import type { ApiDeps } from './deps.js';
import { patchEndpointRoutes } from './endpoints/patch-routes.js';
import { endpointRoutes } from './endpoints/routes.js';
import { whyRoutes } from './endpoints/why-routes.js';
import { exceptionRoutes } from './exceptions/routes.js';
import { quorumRoutes } from './groups/quorum-routes.js';
import { groupRoutes } from './groups/routes.js';
import type { Route } from './http/route.js';
import { joinTokenRoutes } from './join-tokens/routes.js';
import { orderRoutes } from './orders/routes.js';
import { freezeCalendarRoutes } from './policy-sets/calendar-routes.js';
import { policySetRoutes } from './policy-sets/routes.js';
import { repositoryRoutes } from './repositories/routes.js';
import { scheduleRoutes } from './schedules/routes.js';
import { ticketRoutes } from './tickets/routes.js';
import { expeditePolicyRoutes } from './zero-day/policy-routes.js';
import { zeroDayReadRoutes } from './zero-day/read-routes.js';
import { zeroDayRoutes } from './zero-day/routes.js';

export function resourceRoutes(deps: ApiDeps): Route[] {
  return [
    accountRoutes,
    approvalRoutes,
    auditRoutes,
    assignmentRoutes,
    baselineRoutes,
    complianceRoutes,
    goldRoutes,
    noticeRoutes,
    changePlanRoutes,
    changeRoutes,
    closedLoopRoutes,
    commandRoutes,
    endpointRoutes,
    exceptionRoutes,
    freezeCalendarRoutes,
    groupRoutes,
    joinTokenRoutes,
    orderRoutes,
    packageListRoutes,
    patchEndpointRoutes,
    policySetRoutes,
    quorumRoutes,
    repositoryRoutes,
    roleRoutes,
    scheduleRoutes,
    selfRoutes,
    ticketRoutes,
    tokenRoutes,
    expeditePolicyRoutes,
    whyRoutes,
    zeroDayReadRoutes,
    zeroDayRoutes,
  ].flatMap((routes) => routes(deps));
}
