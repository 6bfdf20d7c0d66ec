/** What runs and which kernel settings hold, so that undoing a fix also undoes what it did to them. */
import type { Run } from '../../system/run.js';

export interface RunningState {
  /** Invocation id by service: another one means that it was started anew. */
  readonly services: Readonly<Record<string, string>>;
  readonly sysctl: Readonly<Record<string, string>>;
}

/** Not settings but readings, and what may be written once only. */
const READINGS =
  /(?:random\.|\.ns_last_pid|dentry-state|file-nr|inode-|nr_|\.stat|conntrack_count|drop_caches|neigh\..*\.base_reachable|stable_secret|modules_disabled)/;

export async function readRunningState(run: Run): Promise<RunningState> {
  const listed = await run(
    ['systemctl', 'show', '--type=service', '--state=active', '--property=Id,InvocationID', '*'],
    { timeoutMs: 30_000 },
  );
  const services: Record<string, string> = {};
  for (const block of listed.stdout.split('\n\n')) {
    const id = /^Id=(.+)$/m.exec(block)?.[1];
    const invocation = /^InvocationID=(.*)$/m.exec(block)?.[1];
    if (id !== undefined && invocation !== undefined) services[id] = invocation;
  }
  const settings = await run(['sysctl', '-a'], { timeoutMs: 30_000 });
  const sysctl: Record<string, string> = {};
  for (const line of settings.stdout.split('\n')) {
    const at = line.indexOf(' = ');
    const key = line.slice(0, at);
    if (at > 0 && !READINGS.test(key)) sysctl[key] = line.slice(at + 3);
  }
  return { services, sysctl };
}

/** After the files are back: kernel settings as they were, services that were started anew or stopped started with their old files. */
export async function putRunningStateBack(
  run: Run,
  before: RunningState,
  ours: ReadonlySet<string>,
): Promise<string[]> {
  await run(['systemctl', 'daemon-reload'], { timeoutMs: 60_000 });
  const now = await readRunningState(run);
  const notes: string[] = [];
  for (const [key, value] of Object.entries(before.sysctl)) {
    if (now.sysctl[key] === undefined || now.sysctl[key] === value) continue;
    const set = await run(['sysctl', '-q', '-w', `${key}=${value}`], { timeoutMs: 10_000 });
    notes.push(`${key} ${set.code === 0 ? 'set back' : 'can not be set back'}`);
  }
  for (const [service, invocation] of Object.entries(before.services)) {
    if (ours.has(service) || now.services[service] === invocation) continue;
    await run(['systemctl', 'reset-failed', '--', service], { timeoutMs: 10_000 });
    const started = await run(['systemctl', 'restart', '--', service], { timeoutMs: 120_000 });
    notes.push(`${service} ${started.code === 0 ? 'started anew' : 'does not start'}`);
  }
  return notes;
}
