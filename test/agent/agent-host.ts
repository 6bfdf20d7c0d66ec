/** What the agent's real-host tests share: a host with the agent on it, orders for it, and the files they name. */
import { createHash, randomUUID } from 'node:crypto';
import { installAgent, type Lab } from '../../lab/index.js';
import type { OrderDocument } from '../../protocol/messages.js';
import type { FakeGateway } from '../helpers/fake-gateway.js';

export const PLAN = 'd'.repeat(64);
type Update = OrderDocument['updates'][number];
type Old = OrderDocument['previous'][number];

/** Enrols the agent of a host and returns its endpoint id. */
export async function enrolHost(lab: Lab, gateway: FakeGateway, index: number): Promise<string> {
  await installAgent(lab, index, {
    gatewayUrl: gateway.url,
    joinToken: gateway.joinToken,
    args: ['--name', `host${index}`],
  });
  const config = '/etc/ringmaster-agent/config.json';
  const written = JSON.parse((await lab.read(index, config)).toString('utf8'));
  await lab.push(index, Buffer.from(JSON.stringify({ ...written, healthGraceSeconds: 8 })), config, 0o600);
  await lab.must(index, ['systemctl', 'restart', 'ringmaster-agent.service']);
  const id = gateway.endpoints.get(`host${index}`);
  if (id === undefined) throw new Error('the agent says it is enrolled, the gateway does not know it');
  return id;
}

/** Puts a host on one version, whichever it had. */
export async function givePackage(lab: Lab, index: number, spec: { name: string; version: string }): Promise<void> {
  await lab.must(index, ['apt-get', '-q', 'update'], { timeoutMs: 120_000 });
  await lab.must(index, ['apt-get', '-q', '-y', '--allow-downgrades', 'install', `${spec.name}=${spec.version}`], {
    timeoutMs: 120_000,
  });
}

/** Fetches one version's file as apt knows it and puts it into the gateway's content. */
export async function store(args: { lab: Lab; index: number; gateway: FakeGateway; name: string; version: string }) {
  const { lab, index, gateway, name, version } = args;
  const script =
    'rm -rf /tmp/get; mkdir /tmp/get; cd /tmp/get; chmod 777 .; apt-get -q download "$1" >/dev/null; cat ./*.deb';
  const dir = (
    await lab.must(index, ['sh', '-ec', `${script} >/tmp/get.deb; echo /tmp/get.deb`, 'sh', `${name}=${version}`])
  ).trim();
  const bytes = await lab.read(index, dir);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  gateway.content.set(sha256, bytes);
  const fields = await lab.must(index, ['dpkg-deb', '-f', dir, 'Architecture', 'Source']);
  const arch = /^Architecture: (.*)$/m.exec(fields)?.[1] ?? 'all';
  const source = /^Source: (\S+)/m.exec(fields)?.[1] ?? name;
  return { name, version, arch, source, sha256, size: bytes.length };
}

/** A change order from versions to versions, with every file it needs in the gateway's content. */
export async function changeOrder(args: {
  readonly lab: Lab;
  readonly index: number;
  readonly gateway: FakeGateway;
  readonly endpointId: string;
  readonly moves: readonly { readonly name: string; readonly from: string | null; readonly to: string }[];
  readonly over?: Partial<OrderDocument>;
}): Promise<OrderDocument> {
  const updates: Update[] = [];
  const previous: Old[] = [];
  for (const { name, from, to } of args.moves) {
    const { version: _, ...file } = await store({ ...args, name, version: to });
    updates.push({ ...file, from, to });
    if (from === null) continue;
    const { source: __, ...old } = await store({ ...args, name, version: from });
    previous.push(old);
  }
  return {
    v: 1,
    orderId: randomUUID(),
    endpointId: args.endpointId,
    changeId: null,
    kind: 'change',
    planDigest: PLAN,
    approvals: [],
    issuedAt: Date.now(),
    expiresAt: Date.now() + 3_600_000,
    provider: 'apt',
    updates,
    previous,
    reverts: null,
    reboot: 'never',
    healthChecks: [],
    hooks: [],
    rateLimit: null,
    ...args.over,
  };
}

export async function versionOf(lab: Lab, index: number, name: string): Promise<string> {
  const shown = await lab.exec(index, ['dpkg-query', '-W', '-f', '$' + '{db:Status-Abbrev} $' + '{Version}', name]);
  return shown.code === 0 ? shown.stdout.replace(/\s+/g, ' ').trim() : 'none';
}

export const auditOf = (lab: Lab, index: number) => lab.must(index, ['dpkg', '--audit']);

/** Every version the genuine upgrade of these packages would install, dependencies included, as apt sees it. */
export async function pendingMoves(lab: Lab, index: number, names: readonly string[]) {
  await lab.must(index, ['apt-get', '-q', 'update'], { timeoutMs: 120_000 });
  const simulated = await lab.must(index, [
    'apt-get',
    '-s',
    '--no-install-recommends',
    '--only-upgrade',
    'install',
    ...names,
  ]);
  return [...simulated.matchAll(/^Inst (\S+) (?:\[(\S+)\] )?\((\S+)/gm)].map((match) => ({
    name: match[1] ?? '',
    from: match[2] ?? null,
    to: match[3] ?? '',
  }));
}
