/** What every command that talks to a server has in common. */
import type { Command } from 'commander';
import { type ConnectionOptions, readConnection, withConnection } from '../client/connection.js';
import type { ApiClient } from '../client/http-client.js';
import type { OutputOptions, Screen } from '../output/screen.js';

export type ApiOptions = ConnectionOptions & OutputOptions;

export interface ApiContext {
  readonly client: ApiClient;
  readonly screen: Screen;
}

/** Adds connection and output options to a command. */
export function apiCommand(command: Command): Command {
  return withConnection(command)
    .option('--json', 'print JSON for programs (docs/cli.md has the shapes)')
    .option('--utc', 'show times in UTC instead of your own zone');
}

/** Client and screen, loaded only when a command runs. */
export async function openApi(options: ApiOptions): Promise<ApiContext> {
  const [{ createClient }, { openScreen }] = await Promise.all([
    import('../client/http-client.js'),
    import('../output/screen.js'),
  ]);
  return { client: createClient(readConnection(options, process.env)), screen: openScreen(options) };
}
