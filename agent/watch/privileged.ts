/** Who can become root without asking: accounts with uid 0, and members of the groups that sudo and su let in. */
import { readFileSync } from 'node:fs';

const GROUPS: ReadonlySet<string> = new Set([
  'root',
  'sudo',
  'wheel',
  'admin',
  'adm',
  'docker',
  'lxd',
  'disk',
  'shadow',
]);

/** `user` of uid 0, or `user in group`. */
export function privilegedUsers(files: { readonly passwd: string; readonly group: string } = readFiles()): string[] {
  const rows = files.passwd.split('\n').map((line) => line.split(':'));
  const roots = rows.flatMap(([name, , uid]) => (uid === '0' && name ? [name] : []));
  const groups = files.group.split('\n').flatMap((line) => {
    const [group = '', , gid, members = ''] = line.split(':');
    if (!GROUPS.has(group)) return [];
    const primary = group === 'root' ? [] : rows.flatMap(([name, , , own]) => (own === gid && name ? [name] : []));
    return [...members.split(','), ...primary].flatMap((name) => (name === '' ? [] : [`${name} in ${group}`]));
  });
  return [...new Set([...roots, ...groups])].sort();
}

function readFiles() {
  const read = (path: string) => {
    try {
      return readFileSync(path, 'utf8');
    } catch {
      return '';
    }
  };
  return { passwd: read('/etc/passwd'), group: read('/etc/group') };
}
