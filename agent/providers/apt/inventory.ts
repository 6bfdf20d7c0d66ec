/** Installed packages and what the host would upgrade. */
import { readFileSync, statSync } from 'node:fs';
import { type Run, tail } from '../../system/run.js';
import type { PackageInventory } from '../provider.js';
import { aptPending, aptUpdate, dpkgAudit } from './commands.js';
import { type DpkgEntry, parseHistory, parseSimulation, wirePackages } from './parse.js';

const UPDATE_TIMEOUT_MS = 10 * 60_000;
const LOCK_TRIES = 60;
const LOCK_WAIT_MS = 3_000;

/**
 * A complete inventory, or one that says why it is not. With `refresh` the host's own indexes are fetched first; without
 * it nothing of the host is touched and the indexes' age tells what the list is worth.
 */
export async function aptInventory(args: {
  readonly run: Run;
  readonly refresh: boolean;
  readonly query: () => Promise<readonly DpkgEntry[]>;
  readonly native: string;
  readonly now: () => number;
}): Promise<PackageInventory> {
  const problems: string[] = [];
  if (args.refresh) {
    const update = await updateIndexes(args.run);
    if (update.code !== 0) problems.push(`apt-get update: ${tail(update.stderr || update.stdout, 800)}`);
  }
  const refreshed = args.refresh && problems.length === 0;
  const entries = (await args.query()).filter((entry) => entry.status === 'installed');
  const { packages, odd } = wirePackages(entries);
  if (odd.length > 0) problems.push(`packages with unreadable names or versions: ${odd.slice(0, 10).join(', ')}`);
  const pending = await args.run(aptPending(), { timeoutMs: UPDATE_TIMEOUT_MS });
  if (pending.code !== 0) problems.push(`apt-get -s upgrade: ${tail(pending.stderr || pending.stdout, 800)}`);
  const updates = parseSimulation(pending.stdout).installs.map((install) => ({
    name: install.name,
    arch: install.arch ?? args.native,
    installed: install.from,
    candidate: install.to,
  }));
  const audit = await args.run(dpkgAudit());
  return {
    provider: 'apt',
    complete: problems.length === 0,
    incompleteReason: problems.length === 0 ? null : problems.join('; ').slice(0, 2_000),
    indexAgeSeconds: refreshed ? 0 : indexAge(args.now()),
    auditClean: audit.code === 0 && audit.stdout.trim() === '',
    packages,
    updates,
  };
}

/** apt waits for dpkg's lock, but not for that of the indexes, which some timer may hold for a while. */
async function updateIndexes(run: Run) {
  for (let attempt = 1; ; attempt++) {
    const result = await run(aptUpdate(), { timeoutMs: UPDATE_TIMEOUT_MS });
    if (result.code === 0 || attempt === LOCK_TRIES || !/Could not get lock/.test(result.stderr)) return result;
    await new Promise((resolve) => setTimeout(resolve, LOCK_WAIT_MS));
  }
}

/** Files inside the lists folder carry the server's dates, so the folders' own times tell when apt last fetched. */
function indexAge(now: number): number | null {
  const times = [
    '/var/lib/apt/lists',
    '/var/lib/apt/lists/partial',
    '/var/lib/apt/periodic/update-success-stamp',
  ].flatMap((path) => {
    try {
      return [statSync(path).mtimeMs];
    } catch {
      return [];
    }
  });
  return times.length === 0 ? null : Math.max(0, Math.round((now - Math.max(...times)) / 1_000));
}

/** Other hands on the package manager: reported, never switched off (design §4). */
export async function otherHands(args: { readonly run: Run; readonly ours: string }): Promise<Record<string, unknown>> {
  const units = ['unattended-upgrades.service', 'apt-daily.timer', 'apt-daily-upgrade.timer', 'packagekit.service'];
  const enabled: string[] = [];
  for (const unit of units) {
    const result = await args.run(['systemctl', 'is-enabled', '--', unit], { timeoutMs: 10_000 });
    if (['enabled', 'enabled-runtime', 'static'].includes(result.stdout.trim())) enabled.push(unit);
  }
  const config = await args.run(['apt-config', 'dump', 'APT::Periodic::Unattended-Upgrade'], { timeoutMs: 10_000 });
  const automatic = /"([1-9]\d*)"/.test(config.stdout);
  const held = (await args.run(['apt-mark', 'showhold'], { timeoutMs: 10_000 })).stdout.split('\n').filter(Boolean);
  return {
    enabled,
    unattendedUpgrades: automatic && enabled.includes('apt-daily-upgrade.timer'),
    held: held.slice(0, 200),
    lastTransactionsOfOthers: othersIn(readHistory(), args.ours),
  };
}

export function othersIn(history: string, ours: string): { at: string; what: string }[] {
  return parseHistory(history)
    .filter((entry) => !entry.commandLine.includes(ours))
    .slice(-5)
    .map((entry) => ({
      at: entry.started,
      what: entry.commandLine + (entry.requestedBy === null ? '' : ` (${entry.requestedBy})`),
    }));
}

function readHistory(): string {
  try {
    return readFileSync('/var/log/apt/history.log', 'utf8').slice(-200_000);
  } catch {
    return '';
  }
}
