import { describe, expect, test } from '@jest/globals';
import { whyNoFix } from './checklist.js';
import { movesPackages, packageFixOf } from './package-fix.js';

const COMMAND = 'DEBIAN_FRONTEND=noninteractive apt-get install -y "aide"';
const OTHERWISE = "else\n    >&2 echo 'Remediation is not applicable, nothing was done'\nfi\n";
const installed = (format: string, pattern: string) =>
  `if dpkg-query --show --showformat='\${db:Status-Status}${format}' 'linux-base' 2>/dev/null | grep -q ${pattern}; then`;
const header = '#!/bin/bash\n# xccdf_org.ssgproject.content_rule_package_aide_installed\n';

describe('a fix that does nothing but move one package', () => {
  test.each([
    ['bare', `${header}\n${COMMAND}\n`, null],
    [
      'with comments around',
      `${header}# CAUTION: This remediation script will remove aide\n#\t   from the system\n\n${COMMAND}\n`,
      null,
    ],
    [
      'only outside of containers',
      `${header}if [ ! -f /.dockerenv ] && [ ! -f /run/.containerenv ]; then\n\n${COMMAND}\n\n${OTHERWISE}`,
      { kind: 'noneOf', paths: ['/.dockerenv', '/run/.containerenv'] },
    ],
    [
      'only where a package is, with a line break in the format as the templates have it',
      `${header}${installed('\n', '^installed')}\n\n${COMMAND}\n\n${OTHERWISE}`,
      { kind: 'installed', name: 'linux-base' },
    ],
    [
      'only where a package is, quoted',
      `${header}${installed('\\n', "'^installed'")}\n${COMMAND}\nfi\n`,
      { kind: 'installed', name: 'linux-base' },
    ],
  ])('%s', (_, script, onlyIf) => {
    expect(packageFixOf(script)).toEqual({ action: 'install', name: 'aide', onlyIf });
    expect(packageFixOf(script.replace('install -y', 'remove -y'))).toEqual({ action: 'remove', name: 'aide', onlyIf });
  });

  test.each([
    ['more behind it', `${COMMAND}\naide --init\n`],
    ['more before it', `umask 077\n${COMMAND}\n`],
    ['two packages', 'apt-get install -y "aide" "mutt"'],
    ['two commands', `${COMMAND}\n${COMMAND}`],
    ['a second command on the line', `${COMMAND}; reboot`],
    ['something put in', 'apt-get install -y "$(cat /etc/x)"'],
    ['a variable', 'apt-get install -y "$NAME"'],
    ['an option for a name', 'apt-get install -y "--allow-downgrades"'],
    ['a name that apt takes for an order to remove', 'apt-get install -y "sudo-"'],
    ['a name that apt takes for an order to install', 'apt-get remove -y "telnet+"'],
    ['a name of another case', 'apt-get install -y "Aide"'],
    ['another verb', 'apt-get purge -y "aide"'],
    ['another option', 'apt-get install -y --force-yes "aide"'],
    ['an if without its end', `${installed('\n', '^installed')}\n${COMMAND}`],
    ['an end without its if', `${COMMAND}\nfi`],
    ['a condition of another kind', `if true; then\n${COMMAND}\nfi`],
    [
      'a condition with more in it',
      `${installed('\n', '^installed').replace('; then', ' && reboot; then')}\n${COMMAND}\nfi`,
    ],
    ['something done otherwise', `${installed('\n', '^installed')}\n${COMMAND}\nelse\nreboot\nfi`],
    [
      'something put into what is said otherwise',
      `${installed('\n', '^installed')}\n${COMMAND}\nelse\n>&2 echo "$(reboot)"\nfi`,
    ],
    ['nothing', ''],
    ['a fix of files', 'chmod 0600 /etc/shadow'],
  ])('is not one with %s', (_, script) => {
    expect(packageFixOf(script)).toBeNull();
  });
});

test('a rule with such a fix can be put right; one that also does something else is declined with the reason', () => {
  const rule = (text: string) => whyNoFix({ automated: true, fix: { parts: [text], reboot: false } });
  expect(rule(COMMAND)).toBeNull();
  expect(rule('chmod 0600 /etc/shadow')).toBeNull();
  expect(rule(`${COMMAND}\naide --init`)).toBe(
    'its fix moves packages among other things: only one that does nothing else can be undone',
  );
  expect(
    whyNoFix({ automated: true, fix: { parts: ['apt-get install -y "', { value: 'v' }, '"'], reboot: false } }),
  ).toMatch(/among other things/);
});

test.each([
  ['apt-get -q install aide', true],
  ['apt autoremove', true],
  ['dpkg --purge telnet', true],
  ['dnf -y remove telnet', true],
  ['dpkg-query -W aide', false],
  ['# apt-get would install it', false],
  ['grep -q install /etc/modprobe.d/x.conf', false],
])('%s: moves packages: %s', (script, expected) => {
  expect(movesPackages(script)).toBe(expected);
});
