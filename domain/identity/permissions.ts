/** Who may do what: roles contain one another, so a route names one permission and nobody lists roles twice. */
import type { Role } from '../approval/rule.js';

/** From the most to the least powerful; each has all that those after it have. */
export const ROLES = ['Administrator', 'Manager', 'Operator', 'User'] as const satisfies readonly Role[];

/** The least role each permission needs. Administrators run the installation, Managers changes, Operators look, Users see themselves. */
export const PERMISSIONS = {
  'self.read': 'User',
  'approval.decide': 'User',
  'endpoint.read': 'Operator',
  'group.read': 'Operator',
  'policy.read': 'Operator',
  'repository.read': 'Operator',
  'change.read': 'Operator',
  'order.read': 'Operator',
  'schedule.read': 'Operator',
  'exception.read': 'Operator',
  'baseline.read': 'Operator',
  'zeroDay.read': 'Operator',
  'ticket.read': 'Operator',
  'closedLoop.read': 'Operator',
  'endpoint.scan': 'Manager',
  'endpoint.edit': 'Manager',
  'group.edit': 'Manager',
  'quorum.edit': 'Manager',
  'stakeholder.edit': 'Manager',
  'policy.edit': 'Manager',
  'change.create': 'Manager',
  'change.command': 'Manager',
  'change.stopAll': 'Manager',
  'zeroDay.create': 'Manager',
  'endpoint.patch': 'Manager',
  'schedule.edit': 'Manager',
  'exception.edit': 'Manager',
  'baseline.edit': 'Manager',
  'incident.answer': 'Operator',
  'audit.read': 'Manager',
  'closedLoop.edit': 'Manager',
  'joinToken.read': 'Manager',
  'ticketSystem.read': 'Manager',
  'repository.edit': 'Administrator',
  'joinToken.create': 'Administrator',
  'joinToken.revoke': 'Administrator',
  'endpoint.reEnrol': 'Administrator',
  'expeditePolicy.edit': 'Administrator',
  'baseline.override': 'Administrator',
  'ticketSystem.edit': 'Administrator',
  'account.edit': 'Administrator',
} as const satisfies Readonly<Record<string, Role>>;

export type Permission = keyof typeof PERMISSIONS;

/** Whether any of the roles has the permission. No role, no permission. */
export function mayDo(roles: readonly Role[], permission: Permission): boolean {
  const needed = ROLES.indexOf(PERMISSIONS[permission]);
  return roles.some((role) => {
    const rank = ROLES.indexOf(role);
    return rank >= 0 && rank <= needed;
  });
}
