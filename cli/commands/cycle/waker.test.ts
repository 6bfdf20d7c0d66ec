import { expect, test } from '@jest/globals';
import type { ApiClient } from '../../client/http-client.js';
import { openWaker } from './waker.js';

test('wakes at events only, and lets go of the stream even when the signal is not heard', async () => {
  let feed: ReadableStreamDefaultController<Uint8Array> | undefined;
  const cancelled = new Promise<void>((resolve) => {
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        feed = controller;
      },
      cancel: () => resolve(),
    });
    const client = { stream: async () => new Response(body) } as unknown as ApiClient;
    const waker = openWaker(client, '/v1/changes/x/events');
    const said = (text: string) => feed?.enqueue(new TextEncoder().encode(text));
    let woken = 0;
    void (async () => {
      const next = waker.next().then(() => {
        woken += 1;
      });
      said(': still here\n\n');
      await new Promise((done) => setTimeout(done, 20));
      expect(woken).toBe(0);
      said('event: progress\n\n');
      await next;
      waker.close();
    })();
  });
  await cancelled;
});
