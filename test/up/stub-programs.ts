import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** The least that worker, API and agent must do for their supervisor; each notes what it was started with. */
const SOURCES: Record<string, string> = {
  'worker/main.js': `
    import { createServer } from 'node:http';
    import { writeFileSync } from 'node:fs';
    writeFileSync(process.env.RINGMASTER_DATA + '/worker-env.json', JSON.stringify(process.env));
    createServer((_, response) => response.end('ok')).listen(Number(process.env.RINGMASTER_METRICS_PORT), '127.0.0.1');
    process.on('SIGTERM', () => process.exit(0));`,
  'api/main.js': `
    import { createServer } from 'node:http';
    import { writeFileSync } from 'node:fs';
    writeFileSync(process.env.RINGMASTER_DATA + '/api-env.json', JSON.stringify(process.env));
    let asked = 0;
    createServer((request, response) => {
      if (request.method !== 'POST') return response.end('ok');
      // As the real one: for a moment it does not know its first administrator yet.
      const allowed = ++asked > 2 && request.headers.authorization === 'Bearer ' + process.env.RINGMASTER_BOOTSTRAP_TOKEN;
      response.writeHead(allowed ? 201 : 401).end(allowed ? JSON.stringify({ token: 'join-me' }) : 'no');
    }).listen(Number(process.env.RINGMASTER_PORT), process.env.RINGMASTER_HOST);
    process.on('SIGTERM', () => process.exit(0));`,
  'agent-bundle/ringmaster-agent.mjs': `
    import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
    const [command, flag, file] = process.argv.slice(2);
    const config = JSON.parse(readFileSync(file, 'utf8'));
    writeFileSync(config.stateDir + '-started.new', JSON.stringify({ command, flag, config }));
    renameSync(config.stateDir + '-started.new', config.stateDir + '-started.json');
    mkdirSync(config.stateDir, { recursive: true });
    const scan = { at: Date.now(), complete: true, reason: null, updates: 3 };
    writeFileSync(config.stateDir + '/last-scan.json', JSON.stringify(scan));
    setInterval(() => {}, 1000);`,
};

/** Writes the stubs into a folder, to be used as RINGMASTER_PROGRAMS_DIR. */
export function writeStubPrograms(directory: string): void {
  for (const [file, source] of Object.entries(SOURCES)) {
    mkdirSync(join(directory, dirname(file)), { recursive: true });
    writeFileSync(join(directory, file), source);
  }
  writeFileSync(join(directory, 'package.json'), '{"type":"module"}');
}
