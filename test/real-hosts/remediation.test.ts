// Security baselines on real hosts: Debian 12's own content and real OpenSCAP, through rings, proven by rescans, undone where it harms.
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { scapDataStream } from '../../lab/index.js';
import { TEST_PROFILE, testDataStream, testRuleId } from '../helpers/data-stream.js';
import { openPolicy, ringOf } from '../helpers/real-fleet/documents.js';
import { type RealFleet, startRealFleet } from '../helpers/real-fleet.js';
import { describeRealHosts, labStartLimit } from '../helpers/real-hosts.js';

const LIMIT = 480_000;
const PROFILE = 'xccdf_org.ssgproject.content_profile_anssi_bp28_high';
const idOf = (name: string) => `xccdf_org.ssgproject.content_rule_${name}`;
/** Fail on a fresh Debian 12, and their fixes help. */
const RULES = [
  'directory_permissions_etc_sudoersd',
  'file_permissions_sudo',
  'sudo_add_ignore_dot',
  'sudo_add_noexec',
  'sudo_add_requiretty',
  'sudo_add_umask',
  'accounts_passwords_pam_faillock_deny',
  'accounts_passwords_pam_faillock_interval',
  'accounts_passwords_pam_faillock_unlock_time',
  'accounts_password_pam_dcredit',
  'accounts_password_pam_lcredit',
  'accounts_password_pam_minclass',
  'accounts_password_pam_minlen',
  'accounts_password_pam_ocredit',
  'accounts_password_pam_retry',
  'accounts_password_pam_ucredit',
  'accounts_umask_etc_bashrc',
  'accounts_umask_etc_login_defs',
  'accounts_umask_etc_profile',
  'package_pam_pwquality_installed',
  'package_telnet_removed',
];
/** Watched between scans. */
const CRITICAL = 'directory_permissions_etc_sudoersd';
/** Of programs: looked at more rarely than what people configure. */
const CRITICAL_MODES = 'file_permissions_binary_dirs';
/** Its fix ends with exit status 0 and changes nothing where there is no such partition. */
const USELESS = 'mount_option_nodev_nonroot_local_partitions';
const BREAKS_SSHD = {
  name: 'sshd_strict',
  file: '/etc/ssh/sshd_config',
  line: 'StrictestOfAll yes',
  fix: "echo 'StrictestOfAll yes' >>/etc/ssh/sshd_config\nsed -i s/begins/BEGINS/ /root/large\nmkdir -p /etc/ssh/made && echo made >/etc/ssh/made/by-fix\nsystemctl restart ssh.service\nexit 0\n",
};

/** Helps on the first host only, so that the second ring halts with the first one done. */
const ONLY_FIRST = {
  name: 'only_first',
  file: '/etc/house/motto',
  line: 'first come',
  fix: 'mkdir -p /etc/house\nif [ "$(hostname)" = host1 ]; then echo \'first come\' >/etc/house/motto; fi\n',
};

/** Its fix installs a package, which goes away again with everything else. */
const TREE = {
  name: 'tree_installed',
  file: '/var/lib/dpkg/info/tree.list',
  line: '/usr/bin/tree',
  fix: 'DEBIAN_FRONTEND=noninteractive apt-get install -y "tree"\n',
};
/** What its owner holds is not removed. */
const TALK = {
  name: 'talk_removed',
  file: '/etc/house/talk',
  line: 'gone',
  fix: 'DEBIAN_FRONTEND=noninteractive apt-get remove -y "talk"\n',
};
const LARGE = 17 * 1024 * 1024;

describeRealHosts('remediation on three real hosts', () => {
  let fleet: RealFleet;

  const upload = async (name: string, body: Buffer | string) => {
    const reply = await fetch(`${fleet.apiUrl}/v1/baselines?name=${name}`, {
      method: 'POST',
      headers: { authorization: 'Bearer rmt_real-hosts-administrator', 'content-type': 'application/xml' },
      body: body as string,
    });
    expect([reply.status, await reply.text()]).toEqual([201, expect.any(String)]);
  };
  const remediation = (over: {
    name: string;
    assignment: string;
    rules: readonly string[];
    hosts?: readonly number[];
  }) =>
    fleet.createChange({
      kind: 'remediation',
      name: over.name,
      reason: 'a test on real hosts',
      scope: over.hosts === undefined ? { all: true } : { names: over.hosts.map((index) => fleet.host(index).name) },
      rings:
        over.hosts === undefined
          ? ['test', 'rest'].map((ring) => ringOf({ name: ring, select: { labels: { ring } } }))
          : [ringOf()],
      priority: 0,
      deadlineMinutes: 60,
      offlineAfterMinutes: 30,
      parameters: { assignments: [over.assignment], rules: over.rules, discoverMinutes: 2, confirmMinutes: 2 },
    });
  const assessments = async (index: number): Promise<{ checklist: string; assignment: string; fail: number }[]> =>
    (await fleet.api('GET', `/v1/endpoints/${await fleet.endpointId(index)}/assessments`)).items;
  const resultsOf = async (index: number, assignment: string): Promise<Map<string, string>> => {
    const found = (await assessments(index)).find((one) => one.assignment === assignment);
    const path = `/v1/endpoints/${await fleet.endpointId(index)}/assessments/${found?.checklist}`;
    const { items } = await fleet.api<{ items: { id: string; result: string }[] }>('GET', path);
    return new Map(items.map(({ id, result }) => [id, result]));
  };
  /** The order of a change over one host, once its failure has halted the ring. */
  const failed = async (id: string) => {
    await fleet.waitFor('the ring halted', async () => {
      const [row] = await fleet.rows('SELECT halted, halt_reason FROM ring WHERE change_id = $1 AND ordinal = 0', [id]);
      return row?.halted === true && /error budget spent: 1 failed/.test(row.halt_reason);
    });
    await fleet.waitFor('gone back', async () => (await fleet.orders(id))[0]?.state === 'reverted');
    return (await fleet.orders(id))[0];
  };
  const answers = (assignment: string, over = '') =>
    fleet.rows(
      `SELECT e.name FROM assessment m JOIN assessment_target t USING (endpoint_id, checklist_id)
         JOIN baseline_assignment a ON a.id = t.assignment_id JOIN endpoint e ON e.id = m.endpoint_id
        WHERE a.name = $1 AND m.assessed_at IS NOT NULL ${over}`,
      [assignment],
    );

  beforeAll(async () => {
    fleet = await startRealFleet({
      hosts: ['test', 'rest', 'rest'].map((ring) => ({
        labels: { ring },
        before: (host) => host.install('openscap-scanner', 'acl', 'attr', 'telnet', 'talk'),
      })),
      archive: true,
      policies: {
        open: { precedence: 1, document: openPolicy({ healthChecks: [{ type: 'unit', unit: 'ssh.service' }] }) },
      },
    });
    await Promise.all([1, 2, 3].map((index) => fleet.host(index).configure({ healthGraceSeconds: 4 })));
    await upload('debian12', readFileSync(await scapDataStream()));
    await upload('house', testDataStream({ rules: [BREAKS_SSHD, ONLY_FIRST, TREE, TALK] }));
    await fleet.api('PUT', '/v1/baseline-assignments/debian12', {
      baseline: 'debian12',
      profile: PROFILE,
      appliesTo: { all: true },
      precedence: 10,
      mode: 'propose',
      override: { reason: 'a lab' },
      critical: [idOf(CRITICAL), idOf(CRITICAL_MODES)],
    });
    await fleet.api('PUT', '/v1/baseline-assignments/house', {
      baseline: 'house',
      profile: TEST_PROFILE,
      appliesTo: { all: true },
      precedence: 1,
      mode: 'propose',
      override: { reason: 'a lab' },
    });
    await fleet.waitFor('every host measured by both', async () => {
      return (await answers('debian12')).length === 3 && (await answers('house')).length === 3;
    });
  }, labStartLimit + LIMIT);
  afterAll(() => fleet?.end(), LIMIT);

  test(
    '21 rules, two of them about packages, go from fail to pass on three hosts through two rings, each proven by a rescan of exactly these rules',
    async () => {
      for (const index of [1, 2, 3]) {
        const before = await resultsOf(index, 'debian12');
        expect(RULES.map((name) => [name, before.get(idOf(name))])).toEqual(RULES.map((name) => [name, 'fail']));
      }
      const id = await remediation({ name: 'harden', assignment: 'debian12', rules: RULES });
      const change = await fleet.closed(id);
      expect(change).toMatchObject({ outcome: 'completed', summary: { planned: 3, succeeded: 3, confirmed: 3 } });
      const orders = await fleet.orders(id);
      expect(orders.map(({ host, ring, state }) => [host, ring, state])).toEqual([
        [1, 0, 'succeeded'],
        [2, 1, 'succeeded'],
        [3, 1, 'succeeded'],
      ]);
      const proofs = await fleet.rows('SELECT rules, results FROM rule_proof WHERE change_id = $1', [id]);
      expect(proofs.map(({ rules, results }) => [rules.length, Object.keys(results).length])).toEqual(
        [1, 2, 3].map(() => [RULES.length, RULES.length]),
      );
      // The assessment that follows the change by itself says the same, and what explains each change of a result.
      await fleet.waitFor('measured again after the change', async () => {
        const failing = await Promise.all([1, 2, 3].map((index) => resultsOf(index, 'debian12')));
        return failing.every((results) => RULES.every((name) => results.get(idOf(name)) === 'pass'));
      });
      const unexplained = await fleet.rows(
        `SELECT r.name, k.change_id FROM rule_change k JOIN checklist_rule r USING (checklist_id, position) WHERE k.change_id IS DISTINCT FROM $1`,
        [id],
      );
      expect(unexplained).toEqual([]);
      expect(await fleet.host(3).run(['stat', '-c', '%a', '/etc/sudoers.d'])).toBe('750\n');

      // What moved because of it is told from what somebody else moved, once an inventory shows it.
      for (const index of [1, 2, 3]) await fleet.api('POST', `/v1/endpoints/${await fleet.endpointId(index)}/scan`);
      await fleet.waitFor('packages judged', async () => {
        const [{ left }] = await fleet.rows(
          `SELECT (SELECT count(*) FROM installed_package WHERE name = 'telnet') + (SELECT count(*) FROM package_change WHERE at IS NULL) AS left`,
        );
        return Number(left) === 0;
      });
      expect(await fleet.rows('SELECT name, from_version, to_version FROM package_change')).toEqual([]);
      expect([await fleet.host(3).version('telnet'), await fleet.host(3).audit()]).toEqual([undefined, '']);
      expect(await fleet.host(3).run(['apt-mark', 'showmanual', 'libpam-pwquality'])).toBe('libpam-pwquality\n');

      // The full results stay where they were made, and come when somebody asks.
      const endpoint = await fleet.endpointId(3);
      const checklist = (await assessments(3)).find((one) => one.assignment === 'debian12')?.checklist;
      const path = `/v1/endpoints/${endpoint}/assessments/${checklist}/arf`;
      await fleet.api('POST', path);
      const arf = await fleet.waitFor('the full results', async () => {
        const headers = { authorization: 'Bearer rmt_real-hosts-administrator' };
        const reply = await fetch(new URL(path, fleet.apiUrl), { headers });
        return reply.status === 200 && gunzipSync(Buffer.from(await reply.arrayBuffer())).toString('utf8');
      });
      expect(arf).toContain('<arf:asset-report-collection');
      expect(arf).toContain(idOf('sudo_add_noexec'));
    },
    LIMIT,
  );

  test(
    'a rule whose fix exits 0 and fixes nothing is reported failed, and the package that another one removed is back',
    async () => {
      const host = fleet.host(1);
      const talk = () => Promise.all([host.version('talk'), host.run(['apt-mark', 'showmanual', 'talk'])]);
      const before = await talk();
      const id = await remediation({
        name: 'useless',
        assignment: 'debian12',
        rules: [USELESS, 'package_talk_removed'],
        hosts: [1],
      });
      const order = await failed(id);
      expect(order?.state).toBe('reverted');
      expect(order?.reason).toMatch(
        /the scanner says mount-option-nodev-nonroot-local-partitions: fail .*exit status of the fixes: 0/,
      );
      expect(await host.run(['cat', '/var/log/apt/history.log'])).toMatch(/^Remove: talk:/m);
      expect([await talk(), await host.audit()]).toEqual([before, '']);
    },
    LIMIT,
  );

  test(
    'a fix that breaks sshd is restored: files with their ACLs and times, folders, large files, packages and the running service',
    async () => {
      const host = fleet.host(2);
      await host.run(['setfacl', '-m', 'u:games:r', '/etc/ssh/sshd_config']);
      await host.run(['setfattr', '-n', 'user.origin', '-v', 'by hand', '/etc/ssh/sshd_config']);
      await host.run(['sh', '-c', `echo begins >/root/large; truncate -s ${LARGE} /root/large`]);
      const look = async () => [
        await host.run(['sha256sum', '/etc/ssh/sshd_config', '/root/large']),
        await host.run(['find', '/etc/ssh', '/root/large', '-printf', '%p %m %u %g %Tc\\n']),
        await host.run(['getfacl', '-pn', '/etc/ssh/sshd_config']),
        await host.run(['getfattr', '--absolute-names', '-d', '/etc/ssh/sshd_config']),
        await host.version('tree'),
        await host.audit(),
        await host.run(['systemctl', 'is-active', 'ssh.service']),
      ];
      const before = await look();
      const id = await remediation({
        name: 'breaks sshd',
        assignment: 'house',
        rules: [BREAKS_SSHD.name, TREE.name],
        hosts: [2],
      });
      const order = await failed(id);
      expect([order?.state, order?.reason]).toEqual([
        'reverted',
        expect.stringContaining('not healthy: unit ssh.service'),
      ]);
      expect(await host.run(['cat', '/var/log/apt/history.log'])).toMatch(/^Install: tree:/m);
      expect(await look()).toEqual(before);
      expect((await resultsOf(2, 'house')).get(testRuleId(BREAKS_SSHD.name))).toBe('fail');
    },
    LIMIT,
  );

  test(
    'a rollback takes back what an earlier ring got, from the snapshot of its change',
    async () => {
      const host = fleet.host(1);
      const there = () => host.run(['sh', '-c', 'cat /etc/house/motto 2>/dev/null || echo nothing']);
      const id = await remediation({
        name: 'only the first',
        assignment: 'house',
        rules: [ONLY_FIRST.name, TREE.name],
      });
      await fleet.waitFor('the second ring halted', async () => {
        const [row] = await fleet.rows('SELECT halted FROM ring WHERE change_id = $1 AND ordinal = 1', [id]);
        return row?.halted === true;
      });
      expect([await there(), typeof (await host.version('tree'))]).toEqual(['first come\n', 'string']);
      await fleet.api('POST', `/v1/changes/${id}/rollback`, { reason: 'as tested' });
      await fleet.closed(id);
      const reverts = await fleet.orders(id, 'revert');
      expect(reverts.map((order) => [order.host, order.state])).toEqual([[1, 'reverted']]);
      expect([await there(), await host.version('tree')]).toEqual(['nothing\n', undefined]);
      expect(await host.run(['sh', '-c', 'ls -d /etc/house 2>/dev/null || echo gone'])).toBe('gone\n');
    },
    LIMIT,
  );

  test(
    'the approved version of a package is installed though dpkg is killed half way; a rule that the host can not do is left out, with the reason',
    async () => {
      const host = fleet.host(3);
      await host.run(['apt-mark', 'hold', 'talk']);
      // Time to be killed in: dpkg waits before it unpacks, and again before it configures.
      const slow = '/etc/dpkg/dpkg.cfg.d/slow';
      await fleet.lab.push(3, Buffer.from('pre-invoke=sleep 3\n'), slow, 0o644);
      const id = await remediation({
        name: 'killed',
        assignment: 'house',
        rules: [TREE.name, TALK.name],
        hosts: [3],
      });
      const script = `until dpkg-query -W -f '\${db:Status-Status}' tree 2>/dev/null | grep -q unpacked; do sleep 0.1; done; rm ${slow}; pkill -KILL -x dpkg`;
      await host.run(['sh', '-c', script]);
      const change = await fleet.closed(id);
      expect(change).toMatchObject({
        outcome: 'completedWithFailures',
        summary: {
          ...{ succeeded: 1, confirmed: 1, declinedOn: 1 },
          declined: [{ rule: 'talk-removed', reason: 'talk is held on this endpoint' }],
        },
      });
      const notes = await fleet.rows(
        `SELECT v.detail ->> 'text' AS text FROM order_event v JOIN order_state o ON o.id = v.order_id WHERE o.change_id = $1 AND v.event = 'note'`,
        [id],
      );
      expect(JSON.stringify(notes)).toContain('the package manager was cut short');
      const [planned] = await fleet.rows(
        `SELECT i -> 'installs' ->> 'version' AS version FROM plan_endpoint p JOIN update_set u ON u.digest = p.update_set_digest,
                jsonb_array_elements(u.items) i WHERE p.change_id = $1 AND i ->> 'name' = 'tree-installed'`,
        [id],
      );
      expect([await host.version('tree'), await host.audit()]).toEqual([planned?.version, '']);
      expect(typeof (await host.version('talk'))).toBe('string');
      expect(await fleet.rows('SELECT rules FROM rule_proof WHERE change_id = $1', [id])).toEqual([
        { rules: ['tree-installed'] },
      ]);
    },
    LIMIT,
  );

  test(
    'a scanner that is killed in the middle is started again; one that is killed whenever it starts gives a problem, not a pass',
    async () => {
      const host = fleet.host(3);
      const kill = () =>
        host.run(['pkill', '-KILL', '-x', 'oscap']).then(
          () => true,
          () => false,
        );
      const asked = new Date();
      await fleet.api('POST', `/v1/endpoints/${await fleet.endpointId(3)}/assess`);
      await fleet.waitFor('the scanner at work, and killed', kill);
      const since = `AND e.name = '${host.name}' AND m.assessed_at > '${asked.toISOString()}'`;
      await fleet.waitFor(
        'measured all the same',
        async () => (await answers('debian12', `${since} AND m.problem IS NULL`)).length === 1,
      );

      let stop = false;
      const killer = (async () => {
        while (!stop) if (!(await kill())) await new Promise((resolve) => setTimeout(resolve, 50));
      })();
      await fleet.api('POST', `/v1/endpoints/${await fleet.endpointId(3)}/assess`);
      const problem = "AND m.problem = 'the scanner was killed 3 times'";
      await fleet.waitFor(
        'a problem',
        async () => (await answers('debian12', `AND e.name = '${host.name}' ${problem}`)).length === 1,
      );
      stop = true;
      await killer;
      const [{ passed }] = await fleet.rows(
        `SELECT m.passed FROM assessment m JOIN endpoint e ON e.id = m.endpoint_id JOIN checklist c ON c.id = m.checklist_id
          WHERE e.name = $1 AND c.name LIKE 'debian12.%'`,
        [host.name],
      );
      expect(passed).toBeGreaterThan(RULES.length);
    },
    LIMIT,
  );

  test(
    'a new listener, service, privileged user and package, and drift of a critical rule, are incidents within a minute',
    async () => {
      const host = fleet.host(2);
      const rules = {
        roots: { kinds: ['privilegedUser'], respond: 'incident', severity: 'critical' },
        doors: { kinds: ['listener', 'service'], respond: 'ticket', name: '*4242*', severity: 'high' },
        services: { kinds: ['service'], respond: 'alert', name: 'house-*' },
        packages: { kinds: ['package'], respond: 'alert', name: 'tree:*' },
        drift: { kinds: ['rule'], respond: 'ticket', severity: 'high' },
      };
      for (const [name, rule] of Object.entries(rules))
        await fleet.api('PUT', `/v1/notice-rules/${name}`, {
          precedence: 1,
          appliesTo: { names: [host.name] },
          explainedToo: true,
          recipients: { role: 'Administrator' },
          ...rule,
        });
      const listen =
        'use IO::Socket::INET; my $s = IO::Socket::INET->new(Listen => 1, LocalPort => 4242) or die; sleep 600';
      const unit = `[Service]\nExecStart=/usr/bin/perl -e '${listen}'\n`;
      await fleet.lab.push(2, Buffer.from(unit), '/etc/systemd/system/house-door.service', 0o644);
      await host.run(['systemctl', 'start', 'house-door.service']);
      await host.run(['useradd', '--non-unique', '--uid', '0', 'toor']);
      await host.run(['usermod', '--append', '--groups', 'adm', 'games']);
      await host.run(['apt-get', '-qy', 'install', 'tree']);
      await host.run(['chmod', '755', '/etc/sudoers.d']);
      await host.run(['chmod', 'o+w', '/usr/bin/tree']);
      const expected = [
        'alert package added tree:amd64',
        'alert service added house-door.service',
        'incident privilegedUser added games in adm',
        'incident privilegedUser added toor',
        'ticket listener added tcp 0.0.0.0:4242',
        `ticket rule changed ${idOf(CRITICAL)}`,
        `ticket rule changed ${idOf(CRITICAL_MODES)}`,
      ];
      const found = async () =>
        (
          await fleet.rows(
            `SELECT i.respond || ' ' || n.kind || ' ' || n.action || ' ' || n.name AS words FROM incident i
               JOIN noticed n ON n.id = i.noticed_id JOIN endpoint e ON e.id = i.endpoint_id WHERE e.name = $1 ORDER BY 1`,
            [host.name],
          )
        ).map(({ words }) => words as string);
      await fleet.waitFor(
        'all of it noticed',
        async () => {
          const now = await found();
          return expected.every((one) => now.includes(one));
        },
        60,
      );
    },
    LIMIT,
  );
});
