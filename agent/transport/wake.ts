/** The wake-up channel: any message means "poll now". Losing it costs time only, so every failure is just tried again. */
import type { RawData, WebSocket } from 'ws';

export interface WakeChannel {
  close(): void;
}

const FIRST_RETRY_MS = 2_000;
const MAX_RETRY_MS = 5 * 60_000;
/** The server pings every 45 s; silence for longer than this means the connection is dead. */
const SILENT_MS = 100_000;

export function openWakeChannel(deps: {
  readonly target: () => { readonly url: URL; readonly headers: Record<string, string> };
  readonly ca?: string;
  readonly onWake: () => void;
  /** The channel is up (again): whatever was said while it was not is lost, so a poll is due. */
  readonly onOpen: () => void;
  readonly random: () => number;
}): WakeChannel {
  let socket: WebSocket | null = null;
  let timer: NodeJS.Timeout | null = null;
  let closed = false;
  let retryMs = FIRST_RETRY_MS;

  const later = () => {
    if (closed || timer !== null) return;
    timer = setTimeout(
      () => {
        timer = null;
        void connect();
      },
      retryMs * (0.5 + deps.random()),
    );
    timer.unref();
    retryMs = Math.min(MAX_RETRY_MS, retryMs * 2);
  };
  const connect = async () => {
    const { WebSocket } = await import('ws');
    if (closed) return;
    const { url, headers } = deps.target();
    const opened = new WebSocket(url, {
      headers,
      handshakeTimeout: 15_000,
      maxPayload: 4_096,
      perMessageDeflate: false,
      ...(deps.ca === undefined ? {} : { ca: deps.ca }),
    });
    socket = opened;
    let silence: NodeJS.Timeout | null = null;
    const heard = () => {
      if (silence !== null) clearTimeout(silence);
      silence = setTimeout(() => opened.terminate(), SILENT_MS);
      silence.unref();
    };
    opened.on('open', () => {
      retryMs = FIRST_RETRY_MS;
      heard();
      deps.onOpen();
    });
    opened.on('ping', heard);
    opened.on('message', (_: RawData) => {
      heard();
      deps.onWake();
    });
    opened.on('error', () => opened.terminate());
    opened.on('close', () => {
      if (silence !== null) clearTimeout(silence);
      later();
    });
  };
  void connect().catch(later);
  return {
    close() {
      closed = true;
      if (timer !== null) clearTimeout(timer);
      socket?.terminate();
    },
  };
}
