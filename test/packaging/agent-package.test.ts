// The agent's packages as files: what is in them, who owns it, what they do when they come and go, and the same bytes twice.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { repositoryRoot } from '../helpers/repository.js';

const has = (program: string) => spawnSync(program, ['--version']).status === 0;
const testDeb = has('dpkg-deb') && process.arch === 'x64' ? test : test.skip;
const testRpm = has('rpmbuild') && process.arch === 'x64' ? test : test.skip;
const why = (program: string) => (has(program) ? '' : ` (${program} is not installed here)`);

let out: string;
beforeAll(() => {
  out = mkdtempSync(join(tmpdir(), 'ringmaster-packages-'));
});
afterAll(() => rmSync(out, { recursive: true, force: true }));

function run(command: string, ...args: string[]): string {
  const done = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
  expect({ command, args, stderr: done.stderr, status: done.status }).toMatchObject({ status: 0 });
  return done.stdout;
}

function make(folder: string, ...args: string[]): { readonly status: number | null; readonly stderr: string } {
  const script = join(repositoryRoot, 'scripts/package-agent.mjs');
  const argv = [script, '--out', join(out, folder), '--fast', ...args];
  return spawnSync(process.execPath, argv, {
    env: { ...process.env, SOURCE_DATE_EPOCH: '1700000000' },
    encoding: 'utf8',
  });
}

const digest = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex');

describe('.deb', () => {
  testDeb(`holds the agent, its runtime and its unit, all of root${why('dpkg-deb')}`, () => {
    expect(make('first', '--only', 'deb', '--version', '1.2.3')).toMatchObject({ status: 0, stderr: '' });
    const deb = join(out, 'first/ringmaster-agent_1.2.3_amd64.deb');
    const listed = run('dpkg-deb', '-c', deb).trim().split('\n');
    const files = new Map(listed.map((line) => [line.split(/\s+/)[5] ?? '', line] as const));
    for (const line of listed) {
      expect(line.split(/\s+/)[1]).toBe('root/root');
      // Nothing that others could write, nothing that makes its user root.
      expect(line).toMatch(/^[-d][r-][w-][x-][r-]-[x-][r-]-[x-] /);
    }
    for (const [path, mode] of [
      ['./usr/lib/ringmaster-agent/node', '-rwxr-xr-x'],
      ['./usr/lib/ringmaster-agent/launch', '-rwxr-xr-x'],
      ['./usr/lib/ringmaster-agent/ringmaster-agent.mjs', '-rw-r--r--'],
      ['./usr/bin/ringmaster-agent', '-rwxr-xr-x'],
      ['./usr/lib/systemd/system/ringmaster-agent.service', '-rw-r--r--'],
      ['./etc/ringmaster-agent/hooks.d/', 'drwxr-xr-x'],
      ['./var/lib/ringmaster-agent/', 'drwx--x--x'],
      ['./usr/share/doc/ringmaster-agent/copyright', '-rw-r--r--'],
    ] as const)
      expect(files.get(path)?.slice(0, 10)).toBe(mode);
    expect(run('dpkg-deb', '-f', deb, 'Version', 'Architecture', 'Section')).toBe(
      'Version: 1.2.3\nArchitecture: amd64\nSection: admin\n',
    );
    const control = join(out, 'control');
    mkdirSync(control);
    run('dpkg-deb', '-e', deb, control);
    expect(readFileSync(join(control, 'conffiles'), 'utf8')).toBe('/etc/ringmaster-agent/limits.json\n');
    // The agent says the version of its package, and it runs on the runtime beside it.
    const root = join(out, 'root');
    run('dpkg-deb', '-x', deb, root);
    const lib = join(root, 'usr/lib/ringmaster-agent');
    expect(run(join(lib, 'node'), join(lib, 'ringmaster-agent.mjs'), 'version')).toBe('1.2.3\n');
    const sums = spawnSync('md5sum', ['--quiet', '-c', join(control, 'md5sums')], { cwd: root, encoding: 'utf8' });
    expect({ status: sums.status, stdout: sums.stdout }).toEqual({ status: 0, stdout: '' });
  });

  testDeb(`its scripts never fail, whatever they are called with and whatever the host lacks${why('dpkg-deb')}`, () => {
    const control = join(out, 'control');
    const calls = {
      postinst: [
        ['configure', ''],
        ['configure', '0.9'],
        ['abort-upgrade', '0.9'],
        ['triggered', 'x'],
      ],
      prerm: [['remove'], ['upgrade', '2.0'], ['failed-upgrade', '0.9'], ['deconfigure', 'in-favour', 'x', '1']],
      postrm: [['upgrade', '2.0'], ['disappear', 'x', '1'], ['abort-install'], ['failed-upgrade', '0.9']],
    };
    for (const [script, argvs] of Object.entries(calls)) {
      for (const argv of argvs) {
        // In a root of its own where there is nothing but a shell: no systemd, no helpers, no agent.
        const text = readFileSync(join(control, script), 'utf8').replaceAll(
          /\/(etc|var|opt|run|usr\/bin)\//g,
          `${out}/nowhere/$1/`,
        );
        const done = spawnSync('sh', ['-c', text, script, ...argv], {
          env: { PATH: '/usr/bin:/bin' },
          encoding: 'utf8',
        });
        expect({ script, argv, status: done.status, stderr: done.stderr }).toEqual({
          script,
          argv,
          status: 0,
          stderr: '',
        });
      }
    }
  });

  testDeb(`the same sources make the same bytes${why('dpkg-deb')}`, () => {
    expect(make('second', '--only', 'deb', '--version', '1.2.3').status).toBe(0);
    const name = 'ringmaster-agent_1.2.3_amd64.deb';
    expect(digest(join(out, 'second', name))).toBe(digest(join(out, 'first', name)));
  });
});

describe('.rpm', () => {
  testRpm(`holds the same, keeps configuration, and installs into an empty root${why('rpmbuild')}`, () => {
    expect(make('rpm', '--only', 'rpm', '--version', '1.2.3')).toMatchObject({ status: 0, stderr: '' });
    const [file = ''] = readdirSync(join(out, 'rpm'));
    expect(file).toBe('ringmaster-agent-1.2.3-1.x86_64.rpm');
    const rpm = join(out, 'rpm', file);
    expect(run('rpm', '-qpl', rpm).split('\n')).toEqual(
      expect.arrayContaining([
        '/usr/lib/ringmaster-agent/node',
        '/usr/lib/ringmaster-agent/launch',
        '/usr/lib/systemd/system/ringmaster-agent.service',
        '/var/lib/ringmaster-agent',
      ]),
    );
    expect(run('rpm', '-qpc', rpm)).toBe('/etc/ringmaster-agent/limits.json\n');
    const scripts = run('rpm', '-qp', '--scripts', rpm);
    expect(scripts.match(/^exit 0$/gm)).toHaveLength(3);
    // Stopped only when the last version goes, not at an upgrade.
    expect(scripts).toMatch(/preuninstall scriptlet[\s\S]*\$1" -eq 0/);
    const root = join(out, 'rpm-root');
    mkdirSync(root);
    if (process.getuid?.() === 0) {
      run('rpm', '--root', root, '--nodeps', '--noscripts', '--install', rpm);
      expect(run('rpm', '--root', root, '-q', '--queryformat', '%{VERSION}', 'ringmaster-agent')).toBe('1.2.3');
      expect(run('rpm', '--root', root, '--verify', '--nodeps', 'ringmaster-agent')).toBe('');
    }
  });
});

describe('bad input', () => {
  test.each([
    [['--version', '1;rm'], '"1;rm" is not a version'],
    [['--only', 'msi'], '--only is deb or rpm, not "msi"'],
  ])('%j is refused by name', (args, reason) => {
    const done = make('bad', ...args);
    expect({ status: done.status, said: done.stderr.includes(reason) }).toEqual({ status: 1, said: true });
  });
});
