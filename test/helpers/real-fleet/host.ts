/** A real host as tests look at it: what dpkg says, and what the agent's own journal says. */
import { decodeFrames } from '../../../agent/journal/frames.js';
import { applyRecord, type Book, EMPTY_BOOK, type OrderRecord } from '../../../agent/orders/book.js';
import type { Lab, RunOptions } from '../../../lab/index.js';
import { defaultPort } from '../../../lab/index.js';

const JOURNAL = '/var/lib/ringmaster-agent/journal/journal';
/** dpkg's own placeholders, kept apart from ours. */
const field = (name: string) => `\${${name}}`;
const UNIT = 'ringmaster-agent.service';

export class RealHost {
  constructor(
    private readonly lab: Lab,
    readonly index: number,
  ) {}

  get name(): string {
    return this.lab.host(this.index).name;
  }

  /** Output of a command, as root. @throws Error when it does not exit 0 */
  run(argv: readonly string[], options: RunOptions = {}): Promise<string> {
    return this.lab.must(this.index, argv, { timeoutMs: 120_000, ...options });
  }

  /** By apt from the host's own sources: `labapp=1.0`. */
  async install(...packages: readonly string[]): Promise<void> {
    await this.run(['apt-get', '-q', 'update']);
    await this.run(['apt-get', '-qy', '--allow-downgrades', 'install', ...packages]);
  }

  /** Debian's own automatic updates, which take what has this origin; run by `unattended-upgrade` only. */
  async installUnattendedUpgrades(origin: string): Promise<void> {
    await this.run(['apt-get', '-qy', 'install', 'unattended-upgrades']);
    const setting = 'Unattended-Upgrade::Origins-Pattern';
    const text = `#clear ${setting};\n${setting} { "origin=${origin}"; };\n`;
    await this.lab.push(this.index, Buffer.from(text), '/etc/apt/apt.conf.d/99test-unattended');
  }

  /** Version by name of everything that is properly installed. */
  async versions(): Promise<ReadonlyMap<string, string>> {
    const text = await this.run([
      'dpkg-query',
      '-W',
      '-f',
      `${['db:Status-Abbrev', 'Package', 'Version'].map(field).join(' ')}\\n`,
    ]);
    return new Map(
      text.split('\n').flatMap((line): [string, string][] => {
        const match = /^(\S\S) +(\S+) (\S+)$/.exec(line);
        return match?.[1]?.[1] === 'i' ? [[match[2] ?? '', match[3] ?? '']] : [];
      }),
    );
  }

  async version(name: string): Promise<string | undefined> {
    return (await this.versions()).get(name);
  }

  /** What dpkg complains about; empty when the package database is whole. */
  async audit(): Promise<string> {
    return (await this.run(['dpkg', '--audit'])).trim();
  }

  /** What the host would upgrade by itself now. */
  async pending(): Promise<string[]> {
    const text = await this.run(['apt-get', '-s', '--no-remove', 'upgrade', '--with-new-pkgs']);
    return [...text.matchAll(/^Inst (\S+)/gm)].map((match) => match[1] ?? '').sort();
  }

  /** Status and body a package's service answers with. */
  async answer(name: string): Promise<string> {
    const reply = await fetch(`http://${this.lab.host(this.index).address}:${defaultPort(name)}/`);
    return `${reply.status} ${(await reply.text()).trim()}`;
  }

  /** The agent's journal, read from the host's disk. */
  async journal(): Promise<readonly OrderRecord[]> {
    const bytes = await this.lab.read(this.index, JOURNAL);
    return decodeFrames(bytes).payloads.map((payload) => JSON.parse(payload.toString()) as OrderRecord);
  }

  async book(): Promise<Book> {
    return (await this.journal()).reduce<Book>(applyRecord, EMPTY_BOOK);
  }

  /** Every beginning its journal announces, by order, and whether the permit it held then was still in force. */
  async starts(): Promise<ReadonlyMap<string, readonly { readonly permitted: boolean }[]>> {
    const kinds = new Map<string, string>();
    const permits = new Map<string, number>();
    const starts = new Map<string, { permitted: boolean }[]>();
    for (const record of await this.journal()) {
      if (record.type === 'order') kinds.set(record.orderId, record.kind);
      if (record.type === 'permit') permits.set(record.orderId, record.permit.startBy);
      if (record.type !== 'report') continue;
      const { orderId, report } = record;
      // The way back of a change order is its own business; that of a revert order is what it needs a permit for.
      const begins = report.type === 'apply' || (report.type === 'revertBegun' && kinds.get(orderId) === 'revert');
      if (!begins) continue;
      const permitted = report.at <= (permits.get(orderId) ?? Number.NEGATIVE_INFINITY);
      starts.set(orderId, [...(starts.get(orderId) ?? []), { permitted }]);
    }
    return starts;
  }

  async agentPid(): Promise<number> {
    return Number((await this.run(['systemctl', 'show', '-p', 'MainPID', '--value', UNIT])).trim());
  }

  async killAgent(): Promise<void> {
    await this.run(['systemctl', 'kill', '--kill-whom=main', '--signal=KILL', UNIT]);
  }

  /** Changes the agent's configuration and starts it again. */
  async configure(fields: Readonly<Record<string, unknown>>): Promise<void> {
    const path = '/etc/ringmaster-agent/config.json';
    const config = JSON.parse((await this.lab.read(this.index, path)).toString('utf8')) as object;
    await this.lab.push(this.index, Buffer.from(JSON.stringify({ ...config, ...fields })), path, 0o600);
    await this.run(['systemctl', 'restart', UNIT]);
  }
}
