/** The server's event stream as an alarm clock: an event means it is worth to look now. Without one, looking goes by the clock. */
import type { ApiClient } from '../../client/http-client.js';

export interface Waker {
  /** Resolves at the next event; never, while there is no stream. */
  next(): Promise<void>;
  close(): void;
}

/** Before a lost stream is opened again, milliseconds. */
const AGAIN_MS = 5_000;

export function openWaker(client: ApiClient, path: string): Waker {
  const closing = new AbortController();
  let wake = () => {};
  let timer: NodeJS.Timeout | undefined;
  let reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  const read = async (): Promise<void> => {
    const { body } = await client.stream(path, { signal: closing.signal, lastEventId: null });
    if (body === null || closing.signal.aborted) return;
    reader = body.getReader();
    const decoder = new TextDecoder();
    // What an event says is read by looking; comments that only keep the connection open wake nobody.
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      if (/^(event|data|id):/m.test(decoder.decode(part.value, { stream: true }))) wake();
    }
  };
  const run = (): void => {
    void read()
      .catch(() => undefined)
      .then(() => {
        if (!closing.signal.aborted) timer = setTimeout(run, AGAIN_MS);
      });
  };
  run();
  return {
    next: () =>
      new Promise((resolve) => {
        wake = resolve;
      }),
    close: () => {
      closing.abort();
      // fetch holds its signal weakly: after a garbage collection the signal alone ends no body, and the process would stay.
      void reader?.cancel().catch(() => undefined);
      clearTimeout(timer);
    },
  };
}
