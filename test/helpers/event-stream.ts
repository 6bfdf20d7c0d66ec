/** A reader of server-sent events that remembers what it was told. */
export interface StreamedEvent {
  readonly id: string | null;
  readonly event: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into whatever comes
  readonly data: any;
}

export interface EventReader {
  readonly status: number;
  readonly headers: Headers;
  readonly events: StreamedEvent[];
  /** The body of a refusal. */
  readonly text: () => Promise<string>;
  readonly lastId: () => string | null;
  readonly of: (type: string) => StreamedEvent[];
  readonly close: () => void;
  /** Settles when the server ends the stream, or we do. */
  readonly ended: Promise<void>;
}

export async function readEvents(url: string, headers: Record<string, string>): Promise<EventReader> {
  const stop = new AbortController();
  const reply = await fetch(url, { headers: { accept: 'text/event-stream', ...headers }, signal: stop.signal });
  const events: StreamedEvent[] = [];
  let id: string | null = null;
  let kept = '';
  const take = (block: string): void => {
    const fields = new Map(
      block.split('\n').map((line) => [line.split(': ')[0] ?? '', line.slice(line.indexOf(': ') + 2)]),
    );
    if (!fields.has('data')) return;
    const own = fields.get('id') ?? null;
    id = own ?? id;
    events.push({ id: own, event: fields.get('event') ?? 'message', data: JSON.parse(fields.get('data') ?? 'null') });
  };
  const read = async (): Promise<void> => {
    const decoder = new TextDecoder();
    for await (const part of reply.body as unknown as AsyncIterable<Uint8Array>) {
      kept += decoder.decode(part, { stream: true });
      for (let end = kept.indexOf('\n\n'); end >= 0; end = kept.indexOf('\n\n')) {
        take(kept.slice(0, end));
        kept = kept.slice(end + 2);
      }
    }
  };
  const isStream = reply.headers.get('content-type')?.startsWith('text/event-stream') === true;
  return {
    status: reply.status,
    headers: reply.headers,
    events,
    text: () => reply.text(),
    lastId: () => id,
    of: (type) => events.filter((e) => e.event === type),
    close: () => stop.abort(),
    ended: isStream ? read().catch(() => undefined) : Promise.resolve(),
  };
}
