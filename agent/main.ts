/** ringmaster-agent: what a person or systemd calls. Each command loads only what it needs. */
import { parseArgs } from 'node:util';
import { DEFAULT_CONFIG_FILE, loadConfig } from './config.js';

const USAGE = `ringmaster-agent: carries out Ringmaster's orders on this host

  install --url URL --token TOKEN [--scan-only] [--name NAME] [--ca FILE] [--no-start]
                                   install as a systemd service and enrol (needs root)
  install                          the same without a server: it starts once it is told of one
  run     [--config FILE]          run in the foreground
  enrol   --token TOKEN [--anew] [--config FILE]
                                   enrol without starting; --anew: with a new key and journal
  status  [--json] [--config FILE] how the agent is doing
  version
`;

async function main(argv: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      url: { type: 'string' },
      token: { type: 'string' },
      config: { type: 'string' },
      name: { type: 'string' },
      ca: { type: 'string' },
      'scan-only': { type: 'boolean' },
      'no-start': { type: 'boolean' },
      anew: { type: 'boolean' },
      json: { type: 'boolean' },
      help: { type: 'boolean' },
    },
  });
  const [command] = positionals;
  const configFile = values.config ?? DEFAULT_CONFIG_FILE;
  if (values.help === true || command === undefined) {
    process.stdout.write(USAGE);
    return command === undefined && values.help !== true ? 2 : 0;
  }
  switch (command) {
    case 'run':
      return runCommand(configFile);
    case 'install': {
      const { install } = await import('./install.js');
      await install({
        server: isAlone(values) ? null : { url: needed('url', values.url), token: needed('token', values.token) },
        scanOnly: values['scan-only'] === true,
        name: values.name ?? null,
        caFile: values.ca ?? null,
        start: values['no-start'] !== true,
      });
      return 0;
    }
    case 'enrol': {
      const { enrolCommand } = await import('./enrol-command.js');
      const id = await enrolCommand({
        config: loadConfig(configFile),
        token: needed('token', values.token),
        anew: values.anew === true,
      });
      process.stdout.write(`enrolled as ${id}\n`);
      return 0;
    }
    case 'status': {
      const { readStatus } = await import('./status.js');
      const status = readStatus(loadConfig(configFile));
      process.stdout.write(values.json === true ? `${JSON.stringify(status)}\n` : describe(status));
      return status === null ? 1 : 0;
    }
    case 'version': {
      const { AGENT_VERSION } = await import('./inventory/facts.js');
      process.stdout.write(`${AGENT_VERSION}\n`);
      return 0;
    }
    default:
      process.stderr.write(`unknown command ${command}\n\n${USAGE}`);
      return 2;
  }
}

/** Does not come back: the agent lives on timers until a signal or a failure ends the process. */
async function runCommand(configFile: string): Promise<number> {
  const { runAgent } = await import('./compose.js');
  const { claimStateDir } = await import('./machine.js');
  const config = loadConfig(configFile);
  claimStateDir(config.stateDir);
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => process.exit(0));
  await runAgent(config, log);
  return KEEP_RUNNING;
}

const KEEP_RUNNING = -1;

/** One line of JSON per event; the supervisor adds the rest. */
function log(message: string, fields: Readonly<Record<string, unknown>> = {}): void {
  process.stdout.write(`${JSON.stringify({ time: new Date().toISOString(), message, ...fields })}\n`);
}

function describe(status: object | null): string {
  if (status === null) return 'the agent has not run yet\n';
  return `${Object.entries(status)
    .map(([name, value]) => `${name.padEnd(16)}${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join('\n')}\n`;
}

/** `install` with nothing said about a server. */
function isAlone(values: Readonly<Record<string, unknown>>): boolean {
  return ['url', 'token', 'scan-only', 'name', 'ca'].every((name) => values[name] === undefined);
}

function needed(name: string, value: string | undefined): string {
  if (value === undefined || value === '') throw new Error(`--${name} is missing`);
  return value;
}

main(process.argv.slice(2)).then(
  (code) => {
    if (code !== KEEP_RUNNING) process.exitCode = code;
  },
  (error: Error) => {
    process.stderr.write(`ringmaster-agent: ${error.message}\n`);
    process.exit(1);
  },
);
