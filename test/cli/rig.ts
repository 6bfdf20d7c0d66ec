/** The built command line against a real API on a real database, with one enrolled endpoint. */
import { type SimulatedAgent, simulatedAgent } from '../helpers/agent-client.js';
import { ADMIN_TOKEN, startApi, type TestApi } from '../helpers/api-server.js';
import { type CliResult, runCli } from '../helpers/cli.js';
import { createDatabase, type TestDatabase } from '../helpers/postgres.js';

export interface CliRig {
  readonly db: TestDatabase;
  readonly api: TestApi;
  /** An endpoint of this name with the label role=web. */
  enrol(name: string): Promise<{ readonly agent: SimulatedAgent; readonly id: string }>;
  cli(...args: string[]): Promise<CliResult>;
  stdin(input: string, ...args: string[]): Promise<CliResult>;
  /** What a command prints with `--json`. @throws Error with what it complained about */
  json(...args: string[]): Promise<any>;
  end(): Promise<void>;
}

export async function startCliRig(): Promise<CliRig> {
  const db = await createDatabase();
  const api = await startApi({ apiUrl: db.apiUrl, pool: db.pool });
  const cli: CliRig['cli'] = (...args) => runCli(args, { url: api.url, token: ADMIN_TOKEN });
  return {
    db,
    api,
    cli,
    async enrol(name) {
      const { body } = await api.call('POST', '/v1/join-tokens', { body: { labels: { role: 'web' } } });
      const agent = simulatedAgent({ url: api.url });
      return { agent, id: (await agent.enrol(body.token, { name })).body.endpointId };
    },
    stdin: (input, ...args) => runCli(args, { url: api.url, token: ADMIN_TOKEN, input }),
    async json(...args) {
      const { code, stdout, stderr } = await cli(...args, '--json');
      if (code !== 0) throw new Error(`exit code ${code}: ${stderr}`);
      return JSON.parse(stdout);
    },
    async end() {
      await api.close();
      await db.drop();
    },
  };
}
