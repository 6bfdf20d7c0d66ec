/**
 * A stretch of network between a program and PostgreSQL, for the moment after a commit and before its completion: what the
 * program sent has been committed, and the word of it does not reach it. PostgreSQL says "ready for query, in no transaction"
 * once a commit is done; from the moment a test names, that message is kept back.
 */

import type { AddressInfo } from 'node:net';
import { connect, createServer, type Socket } from 'node:net';

const READY_FOR_QUERY = 'Z';
const IN_NO_TRANSACTION = 'I';
const HEADER = 5;

export interface CommitGate {
  /** The database as the program is to be given it. */
  readonly url: string;
  /** From now on, whatever ends after this has come true gets no answer: the transaction that made it true, too. */
  keepBackOnce(comeTrue: () => Promise<boolean>): void;
  /** How many answers are kept back now. */
  readonly kept: number;
  letGo(): void;
  close(): Promise<void>;
}

/** @param databaseUrl on a TCP port of this computer, without TLS */
export async function startCommitGate(databaseUrl: string): Promise<CommitGate> {
  const target = new URL(databaseUrl);
  const sockets = new Set<Socket>();
  const waiting = new Set<() => void>();
  let comeTrue: (() => Promise<boolean>) | null = null;
  const keepBack = async () => {
    if (comeTrue === null || !(await comeTrue())) return;
    await new Promise<void>((resolve) => waiting.add(resolve));
  };
  const server = createServer((program) => {
    const database = connect(Number(target.port), target.hostname);
    for (const socket of [program, database]) sockets.add(socket.on('error', () => undefined));
    program.pipe(database);
    program.once('close', () => database.destroy());
    void passOn({ database, program, keepBack })
      .catch(() => undefined)
      .finally(() => {
        program.destroy();
        for (const socket of [program, database]) sockets.delete(socket);
      });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = new URL(databaseUrl);
  url.hostname = '127.0.0.1';
  url.port = `${(server.address() as AddressInfo).port}`;
  const letGo = () => {
    comeTrue = null;
    for (const resolve of waiting) resolve();
    waiting.clear();
  };
  return {
    url: url.href,
    keepBackOnce: (look) => {
      comeTrue = look;
    },
    get kept() {
      return waiting.size;
    },
    letGo,
    close: async () => {
      letGo();
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** What the database says, message by message; the end of each transaction only as `keepBack` lets it through. */
async function passOn(args: {
  readonly database: Socket;
  readonly program: Socket;
  readonly keepBack: () => Promise<void>;
}): Promise<void> {
  const { database, program, keepBack } = args;
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of database as AsyncIterable<Buffer>) {
    rest = Buffer.concat([rest, chunk]);
    let whole = 0;
    while (rest.length >= whole + HEADER) {
      const length = 1 + rest.readUInt32BE(whole + 1);
      if (rest.length < whole + length) break;
      const ends = letter(rest, whole) === READY_FOR_QUERY && letter(rest, whole + HEADER) === IN_NO_TRANSACTION;
      if (ends) {
        program.write(rest.subarray(0, whole));
        rest = rest.subarray(whole);
        whole = 0;
        await keepBack();
      }
      whole += length;
    }
    program.write(rest.subarray(0, whole));
    rest = rest.subarray(whole);
  }
}

const letter = (bytes: Buffer, at: number): string => String.fromCharCode(bytes[at] ?? 0);
