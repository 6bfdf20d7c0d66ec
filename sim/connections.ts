/**
 * A few keep-alive HTTP/1.1 connections shared by the whole fleet. By hand, because the simulator shares its machine with
 * what it measures: a request costs a quarter of what Node's own client takes. Replies are small and read whole.
 */
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

export interface Reply {
  readonly status: number;
  readonly body: Buffer;
}

export interface Connections {
  /** @throws Error when no whole reply came. */
  request(args: {
    readonly method: string;
    /** With the query. */
    readonly target: string;
    readonly headers: Readonly<Record<string, string>>;
    readonly body: Buffer | null;
  }): Promise<Reply>;
  /** Requests that wait for a connection, and those that wait for a reply. */
  readonly waiting: number;
  readonly underWay: number;
  /** Breaks every connection, as a network that goes away does; the next request opens new ones. */
  drop(): void;
}

interface Job {
  readonly head: string;
  readonly body: Buffer | null;
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: Error) => void;
}

const REPLY_TIMEOUT_MS = 60_000;
const CHECK_MS = 5_000;

export function createConnections(options: {
  readonly url: URL;
  readonly most: number;
  readonly ca?: string;
}): Connections {
  const { url, most } = options;
  const idle: Connection[] = [];
  const all = new Set<Connection>();
  const queue: Job[] = [];
  const base = url.pathname.replace(/\/$/, '');

  const open = () => {
    const port = Number(url.port || (url.protocol === 'https:' ? 443 : 80));
    const socket =
      url.protocol === 'https:'
        ? connectTls({
            host: url.hostname,
            port,
            servername: url.hostname,
            ...(options.ca === undefined ? {} : { ca: options.ca }),
          })
        : connectTcp({ host: url.hostname, port });
    socket.setNoDelay(true);
    const connection = new Connection(socket, {
      free: () => next(connection),
      gone: () => {
        all.delete(connection);
        const at = idle.indexOf(connection);
        if (at >= 0) idle.splice(at, 1);
        if (queue.length > 0 && all.size < most) next(open());
      },
    });
    all.add(connection);
    return connection;
  };
  const next = (connection: Connection) => {
    const job = queue.shift();
    if (job === undefined) idle.push(connection);
    else connection.send(job);
  };
  const timer = setInterval(() => {
    for (const connection of all) connection.giveUpAfter(REPLY_TIMEOUT_MS);
  }, CHECK_MS);
  timer.unref();
  return {
    request: ({ method, target, headers, body }) =>
      new Promise((resolve, reject) => {
        let head = `${method} ${base}${target} HTTP/1.1\r\nhost: ${url.host}\r\n`;
        for (const name in headers) head += `${name}: ${headers[name]}\r\n`;
        if (body !== null) head += `content-length: ${body.length}\r\n`;
        const job: Job = { head: `${head}\r\n`, body, resolve, reject };
        const connection = idle.pop();
        if (connection !== undefined) connection.send(job);
        else if (all.size < most) open().send(job);
        else queue.push(job);
      }),
    get waiting() {
      return queue.length;
    },
    get underWay() {
      return all.size - idle.length;
    },
    drop() {
      for (const connection of [...all]) connection.break('dropped');
    },
  };
}

class Connection {
  private job: Job | null = null;
  private sentAt = 0;
  private received: Buffer = Buffer.alloc(0);

  constructor(
    private readonly socket: Socket,
    private readonly tell: { readonly free: () => void; readonly gone: () => void },
  ) {
    socket.on('data', (chunk: Buffer) => this.take(chunk));
    socket.on('error', (error) => this.break(error.message));
    socket.on('close', () => this.break('the connection was closed'));
  }

  send(job: Job): void {
    this.job = job;
    this.sentAt = Date.now();
    if (job.body === null) this.socket.write(job.head, 'latin1');
    else this.socket.write(Buffer.concat([Buffer.from(job.head, 'latin1'), job.body]));
  }

  giveUpAfter(ms: number): void {
    if (this.job !== null && Date.now() - this.sentAt > ms) this.break(`no reply within ${ms / 1_000} s`);
  }

  break(reason: string): void {
    const { job } = this;
    this.job = null;
    this.socket.removeAllListeners();
    this.socket.on('error', () => undefined);
    this.socket.destroy();
    this.tell.gone();
    job?.reject(new Error(reason));
  }

  private take(chunk: Buffer): void {
    this.received = this.received.length === 0 ? chunk : Buffer.concat([this.received, chunk]);
    const parsed = parseReply(this.received);
    if (parsed === null) return;
    const { job } = this;
    this.received = Buffer.alloc(0);
    this.job = null;
    if (parsed.closes) this.break('');
    else this.tell.free();
    job?.resolve(parsed);
  }
}

/** A whole reply, or null while more of it is to come. */
export function parseReply(bytes: Buffer): (Reply & { readonly closes: boolean }) | null {
  const end = bytes.indexOf('\r\n\r\n');
  if (end < 0) return null;
  const head = bytes.toString('latin1', 0, end);
  const status = Number(head.slice(9, 12));
  const closes = /\r\nconnection: *close/i.test(head);
  const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
  if (length !== undefined) {
    const to = end + 4 + Number(length);
    return bytes.length < to ? null : { status, closes, body: bytes.subarray(end + 4, to) };
  }
  if (!/\r\ntransfer-encoding: *chunked/i.test(head)) return { status, closes, body: Buffer.alloc(0) };
  const parts: Buffer[] = [];
  for (let at = end + 4; ; ) {
    const line = bytes.indexOf('\r\n', at);
    if (line < 0) return null;
    const size = Number.parseInt(bytes.toString('latin1', at, line), 16);
    if (bytes.length < line + 2 + size + 2) return null;
    if (size === 0) return { status, closes, body: Buffer.concat(parts) };
    parts.push(bytes.subarray(line + 2, line + 2 + size));
    at = line + 2 + size + 2;
  }
}
