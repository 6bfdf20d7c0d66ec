import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { leftovers, teardown } from '../../lab/index.js';
import { readState } from '../../lab/state.js';
import { describeRealHosts, labStartLimit } from '../helpers/real-hosts.js';

const root = process.cwd();
const id = `cli${process.pid % 10_000}`;

/** `npm run lab -- …` without npm, which only adds its own words; on a machine where no Ringmaster runs. */
function run(...args: string[]): { code: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, 'dist/lab/main.js'), ...args], {
    env: { ...process.env, LAB_ID: id, RINGMASTER_DATA: join(tmpdir(), `no-ringmaster-${id}`) },
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

  describe('a lab that is up', () => {
    let up: ReturnType<typeof run>;
    beforeAll(() => {
      up = run('up', '2', '--zone', '2=Europe/Berlin');
    }, labStartLimit);

    test('shows its hosts, each with the agent, and says how to enrol them where no server runs', () => {
      const next = `no Ringmaster of this checkout runs. Next: npm start, then npm run lab -- --id ${id} enrol`;
      expect(up).toMatchObject({ code: 0, stderr: '' });
      expect(up.stdout).toMatch(/host1 +on .*\n.*host2 +on .*Europe\/Berlin\n/);
      expect(up.stdout).toContain(`\nagents installed, not enrolled: ${next}\n`);
      for (const host of ['1', '2']) {
        const systemctl = (...args: string[]) => run('exec', host, '--', 'systemctl', ...args).stdout;
        expect(systemctl('is-enabled', 'ringmaster-agent')).toBe('enabled\n');
        expect(systemctl('is-active', 'ringmaster-agent')).toBe('inactive\n');
        expect(systemctl('--failed', '--no-legend')).toBe('');
        expect(run('exec', host, '--', 'ls', '/var/lib/ringmaster-agent').code).toBe(2);
      }
      expect(run('enrol')).toEqual({ code: 1, stdout: '', stderr: `${next}\n` });
    }, 60_000);

    test('outlives the command that made it, and is removed even after its controller was killed', async () => {
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
      expect(run('enrol')).toMatchObject({ code: 1, stderr: expect.stringContaining('its controller is gone') });
      expect(run('down')).toEqual({ code: 0, stdout: `lab ${id} is gone\n`, stderr: '' });
      expect(await leftovers(id)).toEqual([]);
      expect(run('exec', '1', '--', 'true')).toMatchObject({ code: 1, stderr: expect.stringContaining('no lab') });
    }, 120_000);
  });

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
