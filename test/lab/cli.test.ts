import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { leftovers, teardown } from '../../lab/index.js';
import { readState } from '../../lab/state.js';
import { describeRealHosts, labStartLimit } from '../helpers/real-hosts.js';

const root = process.cwd();
const id = `cli${process.pid % 10_000}`;

/** `npm run lab -- …` without npm, which only adds its own words. */
function run(...args: string[]): { code: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, 'dist/lab/main.js'), ...args], {
    env: { ...process.env, LAB_ID: id },
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return { code: status, stdout, stderr };
}

describeRealHosts('lab command line', () => {
  beforeAll(() => {
    const built = spawnSync(process.execPath, [join(root, 'scripts/build.mjs'), '--quiet'], { encoding: 'utf8' });
    expect([built.status, built.stderr]).toEqual([0, '']);
  }, 60_000);
  afterAll(() => teardown(id), 60_000);

  test(
    'a lab outlives the command that made it, and is removed even after its controller was killed',
    async () => {
      const up = run('up', '2', '--zone', '2=Europe/Berlin');
      expect(up).toMatchObject({ code: 0, stderr: '' });
      expect(up.stdout).toMatch(/host1 +on .*\n.*host2 +on .*Europe\/Berlin\n/);
      expect(run('exec', '1', '--', 'sh', '-c', 'hostname; exit 7')).toEqual({
        code: 7,
        stdout: 'host1\n',
        stderr: '',
      });
      expect(run('cut-power', '1').code).toBe(0);
      expect(run('exec', '1', '--', 'true')).toMatchObject({ code: 1, stderr: 'host 1 is off\n' });
      expect(run('wake', '1').code).toBe(0);
      expect(run('exec', '1', '--', 'hostname').stdout).toBe('host1\n');
      expect(run('up', '1')).toMatchObject({ code: 1 });

      const controller = readState(id)?.controller.pid;
      expect(controller).toBeDefined();
      process.kill(controller ?? 0, 'SIGKILL');
      expect(run('exec', '2', '--', 'hostname').stdout).toBe('host2\n');
      expect(run('down')).toEqual({ code: 0, stdout: `lab ${id} is gone\n`, stderr: '' });
      expect(await leftovers(id)).toEqual([]);
      expect(run('exec', '1', '--', 'true')).toMatchObject({ code: 1, stderr: expect.stringContaining('no lab') });
    },
    labStartLimit,
  );

  test.each([
    [['up', 'many'], 'count "many" is not a number'],
    [['up', '0'], 'number of hosts: 0 is not in 1 to 240'],
    [['--id', 'Too-Long-For-This', 'down'], 'lab id "Too-Long-For-This": 1 to 7 of a-z and 0-9'],
    [['up', '1', '--zone', 'Berlin'], '--zone "Berlin" is not like 2=Europe/Berlin'],
  ])('%p is refused by name', (args, message) => {
    const { code, stdout, stderr } = run(...args);
    expect(code).toBe(1);
    expect(stdout + stderr).toContain(message);
  });
});
