/** What people tell a running cycle. */
import type { CommandReply, StopAllReply } from '../../client/types.js';
import { CliError, EXIT } from '../../exit-codes.js';
import { plain } from '../../output/plain.js';
import type { Screen } from '../../output/screen.js';
import { type ApiOptions, openApi } from '../api-command.js';
import { confirmed } from '../confirm.js';
import { findChange, findEndpoint } from '../find.js';

interface VerbOptions extends ApiOptions {
  readonly reason?: string;
  readonly ring?: string;
  readonly ignoreWindows?: boolean;
  readonly endpoint?: string;
  readonly yes?: boolean;
}

type VerbName = 'pause' | 'resume' | 'abort' | 'rollback' | 'retry-failed' | 'skip' | 'replan';

/** What is asked before; verbs that can be taken back are not asked about. */
const QUESTIONS: Partial<Record<VerbName, string>> = {
  abort: 'Abort for good?',
  rollback: 'Roll back every endpoint this cycle changed?',
};

export async function tell(verb: VerbName, wanted: string, options: VerbOptions): Promise<void> {
  const { client, screen } = await openApi(options);
  const ring = options.ring === undefined ? undefined : ringOf(options.ring);
  const changeId = await findChange(client, wanted);
  const endpointId = options.endpoint === undefined ? undefined : await findEndpoint(client, options.endpoint);
  const question = QUESTIONS[verb];
  if (question !== undefined) await confirmed(screen, { question: `${plain(wanted)}: ${question}`, yes: options.yes });
  const reply = await client.post<CommandReply>(`/v1/changes/${changeId}/${verb}`, {
    ...(options.reason === undefined ? {} : { reason: options.reason }),
    ...(ring === undefined ? {} : { ring }),
    ...(options.ignoreWindows === true ? { ignoreWindows: true } : {}),
    ...(endpointId === undefined ? {} : { endpointId }),
  });
  if (screen.json) return screen.value({ changeId, verb, ...reply });
  screen.line(`Told ${changeId}: ${verb}.`);
  sayStopped(screen, reply);
}

export async function stopAll(options: ApiOptions & { reason: string; yes?: boolean }): Promise<void> {
  const { client, screen } = await openApi(options);
  await confirmed(screen, { question: 'Pause every open change?', yes: options.yes });
  const reply = await client.post<StopAllReply>('/v1/stop-all', { reason: options.reason });
  if (screen.json) return screen.value(reply);
  screen.line(`Paused ${reply.changes.length === 1 ? '1 change' : `${reply.changes.length} changes`}.`);
  for (const { changeId } of reply.changes) screen.line(`  ${changeId}`);
  sayStopped(screen, reply);
}

function sayStopped(screen: Screen, reply: Partial<StopAllReply> | CommandReply): void {
  const { outstanding, mayStillStartUntil } = reply;
  if (outstanding === undefined) return;
  screen.line(
    outstanding === 0 || mayStillStartUntil == null
      ? 'No order holds a permit: nothing more will start.'
      : `${outstanding} ${outstanding === 1 ? 'order' : 'orders'} may still start until ${screen.zone.named(mayStillStartUntil)}.`,
  );
}

function ringOf(text: string): number {
  if (!/^\d{1,4}$/.test(text)) throw new CliError(EXIT.usage, '--ring: must be the number of a ring, from 0');
  return Number(text);
}
