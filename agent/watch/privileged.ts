/** Who can become root: accounts with uid 0, members of the groups that sudo and su let in, and whom sudo's rules name. */
import { readOr } from '../system/lenient-reads.js';
import { type ListFolder, type ReadFile, readSudoers } from './sudoers.js';

const GROUPS: readonly string[] = ['root', 'sudo', 'wheel', 'admin', 'adm', 'docker', 'lxd', 'disk', 'shadow'];
/** How privileged users are looked for. Counted up when that finds more than before, which is no news of the host. */
export const PRIVILEGED_LOOK = 2;

/** `user` of uid 0, `user in group`, or `user in /etc/sudoers.d/file` with what sudo lets them do. */
export function privilegedUsers(
  deps: { readonly read: ReadFile; readonly list?: ListFolder } = { read: (path) => readOr(path, null) },
): Record<string, string> {
  const sudo = readSudoers(deps);
  const letIn = new Set([...GROUPS, ...sudo.groups]);
  const rows = (deps.read('/etc/passwd') ?? '').split('\n').map((line) => line.split(':'));
  const roots = rows.flatMap(([name, , uid]) => (uid === '0' && name ? [name] : []));
  const groups = (deps.read('/etc/group') ?? '').split('\n').flatMap((line) => {
    const [group = '', , gid, members = ''] = line.split(':');
    if (!letIn.has(group)) return [];
    const primary = group === 'root' ? [] : rows.flatMap(([name, , , own]) => (own === gid && name ? [name] : []));
    return [...members.split(','), ...primary].flatMap((name) => (name === '' ? [] : [`${name} in ${group}`]));
  });
  const plain = [...new Set([...roots, ...groups])].sort().map((name) => [name, ''] as const);
  return { ...Object.fromEntries(plain), ...sudo.grants };
}

/** Whether a name is one that looks before {@link PRIVILEGED_LOOK} 2 did not find: by sudo's rules, or by a group that they let in. */
export function isFoundBySudoers(name: string): boolean {
  const group = / in (.+)$/.exec(name)?.[1];
  return group !== undefined && !GROUPS.includes(group);
}
