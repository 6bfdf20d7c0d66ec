/** A worker on the time-skipping server with a scripted world: weeks of waiting in seconds. */
import { randomUUID } from 'node:crypto';
import { expect } from '@jest/globals';
import type { WorkflowHandleWithFirstExecutionRunId } from '@temporalio/client';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { bundleWorkflowCode, DefaultLogger, Runtime, Worker } from '@temporalio/worker';
import type { Activities } from '../../activities/contract.js';
import type { ChangeSpec } from '../../domain/change/spec.js';
import { MINUTE } from '../../domain/time.js';
import { changeWorkflowId, TASK_QUEUE } from '../../workflows/ids.js';
import type { ChangeInput, ChangeProgress, Command, CommandReply } from '../../workflows/messages.js';
import { COMMAND_UPDATE, PROGRESS_QUERY } from '../../workflows/messages.js';
import { recordHistories } from './histories.js';
import { repositoryRoot } from './repository.js';

const quiet = { log() {}, trace() {}, debug() {}, info() {}, warn() {}, error: console.error };

try {
  Runtime.install({
    logger: new DefaultLogger('ERROR'),
    telemetryOptions: { logging: { filter: 'ERROR', forward: {} } },
  });
} catch {
  // Another test file of this process has installed it.
}

/** The workflow bundle from the TypeScript sources, as a worker loads it. */
export async function bundleFromSources(): Promise<{ code: string }> {
  const { code } = await bundleWorkflowCode({
    workflowsPath: `${repositoryRoot}/workflows/index.ts`,
    logger: quiet,
    webpackConfigHook: (config) => ({
      ...config,
      resolve: { ...config.resolve, extensionAlias: { '.js': ['.ts', '.js'] } },
    }),
  });
  return { code };
}

export interface RunningChange {
  readonly changeId: string;
  readonly handle: WorkflowHandleWithFirstExecutionRunId;
  command(words: Omit<Command, 'commandId' | 'by'>): Promise<CommandReply>;
  progress(): Promise<ChangeProgress>;
}

/** Runs `body` with a worker over `activities`; the worker stops when it returns. */
export async function withWorker<T>(args: {
  readonly env: TestWorkflowEnvironment;
  readonly bundle: { code: string };
  readonly activities: Activities;
  readonly body: (start: (spec: ChangeSpec) => Promise<RunningChange>) => Promise<T>;
}): Promise<T> {
  const worker = await Worker.create({
    connection: args.env.nativeConnection,
    taskQueue: TASK_QUEUE,
    workflowBundle: args.bundle,
    activities: { ...args.activities },
  });
  const started: string[] = [];
  const start = async (spec: ChangeSpec): Promise<RunningChange> => {
    const changeId = randomUUID();
    started.push(changeWorkflowId(changeId));
    const input: ChangeInput = {
      changeId,
      spec,
      deadline: (await args.env.currentTimeMs()) + spec.deadlineMinutes * MINUTE,
    };
    const handle = await args.env.client.workflow.start('patchCycle', {
      workflowId: changeWorkflowId(changeId),
      taskQueue: TASK_QUEUE,
      args: [input],
    });
    return {
      changeId,
      handle,
      command: async (words) => {
        const commandId = randomUUID();
        return handle.executeUpdate<CommandReply, [Command]>(COMMAND_UPDATE, {
          updateId: commandId,
          args: [{ ...words, commandId, by: 'ada@example.test' }],
        });
      },
      progress: async () => handle.query<ChangeProgress>(PROGRESS_QUERY),
    };
  };
  const result = await worker.runUntil(args.body(start));
  const folder = process.env.RINGMASTER_RECORD_HISTORIES;
  if (folder !== undefined) {
    const name = expect.getState().currentTestName ?? 'unnamed';
    for (const workflowId of started) await recordHistories({ client: args.env.client, workflowId, folder, name });
  }
  return result;
}
