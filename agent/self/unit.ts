/** The agent as a service: where its parts are, and systemd's unit, the same from the package and from `install`. */
import { DEFAULT_CONFIG_FILE } from '../config.js';

export const UNIT = 'ringmaster-agent.service';
/** What a distribution's package owns. */
export const PACKAGE_DIR = '/usr/lib/ringmaster-agent';
/** What the agent's own updates own. */
export const SLOTS_DIR = '/var/lib/ringmaster-agent/slots';

/**
 * `KillMode=process`: the package manager runs in the unit's control group and must outlive a restart of the agent.
 * The umask is the usual one, because packages' scripts inherit it. Hardened as far as a program may be under which package
 * managers and their scripts run as root: whatever narrows the file system, the capabilities or the system calls would narrow
 * theirs, and break packages at random.
 */
export function unitText(options: { readonly launcher: string }): string {
  return `[Unit]
Description=Ringmaster agent
Documentation=file:///usr/share/doc/ringmaster-agent
Wants=network-online.target
After=network-online.target
ConditionPathExists=${DEFAULT_CONFIG_FILE}
StartLimitIntervalSec=0

[Service]
ExecStart=${options.launcher} run --config ${DEFAULT_CONFIG_FILE}
Restart=always
RestartSec=2
KillMode=process
TimeoutStopSec=20
OOMPolicy=continue
Environment=MALLOC_ARENA_MAX=1 UV_THREADPOOL_SIZE=2
UMask=0022
KeyringMode=private
LimitCORE=0

[Install]
WantedBy=multi-user.target
`;
}
