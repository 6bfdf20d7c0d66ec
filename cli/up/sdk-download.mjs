// Run as a process of its own, so that it can be bounded and ended: lets the Temporal SDK download a server into a
// folder (argv[2]) by starting it once. argv[3] is 'dev-server' or 'time-skipping', argv[4] the SDK's version.
import { Runtime } from '@temporalio/worker';

const [downloadDir, type, sdkVersion] = process.argv.slice(2);
const exe = {
  type: 'cached-download',
  downloadDir,
  version: 'default',
  ttl: 24 * 3600 * 1000,
  sdkName: 'sdk-typescript',
  sdkVersion,
};
const config =
  type === 'time-skipping'
    ? { type, exe, port: null, extraArgs: [] }
    : {
        type: 'dev-server',
        exe,
        ip: '127.0.0.1',
        port: null,
        ui: false,
        uiPort: null,
        namespace: 'default',
        dbFilename: null,
        log: { format: 'pretty', level: 'error' },
        extraArgs: [],
      };
try {
  const runtime = Runtime.instance();
  await runtime.shutdownEphemeralServer(await runtime.createEphemeralServer(config));
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
  process.exitCode = 1;
}
