// Runs a server for tests and ends it, with its files, when the process that needs it is gone, however that ended.
// argv[2] is JSON: {argv, env, cwd, uid, gid, signal, killAfterMs, log, watchPid, remove}. Our own SIGTERM ends it too.
import { spawn } from 'node:child_process';
import { openSync, readFileSync, rmSync } from 'node:fs';

const task = JSON.parse(process.argv[2]);
const startOf = (pid) => {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1).split(' ')[19];
  } catch {
    return undefined;
  }
};
const watched = startOf(task.watchPid);
const log = openSync(task.log, 'a');
const account = task.uid === undefined ? {} : { uid: task.uid, gid: task.gid };
const [command, ...args] = task.argv;
const child = spawn(command, args, { cwd: task.cwd, env: task.env, stdio: ['ignore', log, log], ...account });
// The server's own process, for tests that kill it.
process.stdout.on('error', () => {});
process.stdout.write(`${child.pid}\n`);

const end = () => {
  child.kill(task.signal);
  setTimeout(() => child.kill('SIGKILL'), task.killAfterMs).unref();
};
const finish = () => {
  if (task.remove) rmSync(task.remove, { recursive: true, force: true });
  process.exit(0);
};
child.on('error', finish);
child.on('exit', finish);
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(signal, end);
setInterval(() => {
  if (watched === undefined || startOf(task.watchPid) !== watched) end();
}, 500);
