/**
 * PostgreSQL's COPY over a connection of `pg`, which itself only speaks the protocol's messages for it. Text as the server
 * writes and reads it, so that every type comes back exactly as it was.
 */
import type { Readable } from 'node:stream';
import type pg from 'pg';

/** What `pg` hands to a query while it runs, as far as COPY needs it. */
interface Wire {
  query(text: string): void;
  sendCopyFromChunk(chunk: Buffer): void;
  endCopyFrom(): void;
  sendCopyFail(reason: string): void;
  readonly stream: NodeJS.ReadWriteStream & { readonly writableNeedDrain?: boolean };
}

/** One statement, from its text to the server's "ready". */
abstract class CopyStatement {
  private failure: Error | null = null;
  private settle: { resolve: () => void; reject: (error: Error) => void } | null = null;
  readonly done: Promise<void>;
  constructor(private readonly text: string) {
    this.done = new Promise((resolve, reject) => {
      this.settle = { resolve, reject };
    });
  }
  submit(wire: Wire): void {
    wire.query(this.text);
  }
  protected fail(error: Error): void {
    this.failure ??= error;
  }
  handleError(error: Error): void {
    this.fail(error);
    // A broken connection is never ready again; a refused statement is, and changes nothing here.
    this.settle?.reject(this.failure ?? error);
  }
  handleReadyForQuery(): void {
    if (this.failure === null) this.settle?.resolve();
    else this.settle?.reject(this.failure);
  }
  handleCopyInResponse(wire: Wire): void {
    wire.sendCopyFail('nothing to copy in');
  }
  handleCopyData(_message: { readonly chunk: Buffer }, _wire: Wire): void {}
  handleRowDescription(): void {}
  handleDataRow(): void {}
  handleCommandComplete(): void {}
  handleEmptyQuery(): void {}
  handlePortalSuspended(): void {}
}

class CopyOut extends CopyStatement {
  constructor(
    text: string,
    private readonly take: (chunk: Buffer) => Promise<void> | undefined,
  ) {
    super(text);
  }
  override handleCopyData({ chunk }: { readonly chunk: Buffer }, wire: Wire): void {
    // A view of a buffer that is used again.
    const waits = this.take(Buffer.from(chunk));
    if (waits === undefined) return;
    wire.stream.pause();
    waits
      .catch((error: Error) => this.fail(error))
      .finally(() => {
        wire.stream.resume();
      });
  }
}

class CopyIn extends CopyStatement {
  constructor(
    text: string,
    private readonly source: Readable,
  ) {
    super(text);
  }
  override handleCopyInResponse(wire: Wire): void {
    this.send(wire).then(
      () => wire.endCopyFrom(),
      (error: Error) => {
        this.fail(error);
        wire.sendCopyFail(error.message);
      },
    );
  }
  private async send(wire: Wire): Promise<void> {
    for await (const chunk of this.source) {
      wire.sendCopyFromChunk(chunk as Buffer);
      if (wire.stream.writableNeedDrain === true) await new Promise((resolve) => wire.stream.once('drain', resolve));
    }
  }
}

/** Runs `COPY … TO STDOUT`. `take` gets the text piece by piece, and a promise of it holds the server back. @throws the database's error */
export function copyOut(
  client: pg.ClientBase,
  statement: string,
  take: (chunk: Buffer) => Promise<void> | undefined,
): Promise<void> {
  const copy = new CopyOut(statement, take);
  client.query(copy as never);
  return copy.done;
}

/** Runs `COPY … FROM STDIN` with all that `source` gives. @throws the database's error, or the source's */
export function copyIn(client: pg.ClientBase, statement: string, source: Readable): Promise<void> {
  const copy = new CopyIn(statement, source);
  client.query(copy as never);
  return copy.done;
}
