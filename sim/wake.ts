/** An endpoint's wake-up channel: any message means "poll now". Lost ones are opened again, ever more slowly. */
import { WebSocket } from 'ws';

export interface WakeChannel {
  close(): void;
}

/** The server pings every 45 s; what is silent for longer than this is looked at by {@link openWakeChannel}'s caller. */
export function openWakeChannel(deps: {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly ca?: string;
  readonly onOpen: () => void;
  readonly onWake: () => void;
  readonly onClose: () => void;
}): WakeChannel {
  const socket = new WebSocket(deps.url, {
    headers: deps.headers,
    handshakeTimeout: 60_000,
    maxPayload: 4_096,
    perMessageDeflate: false,
    ...(deps.ca === undefined ? {} : { ca: deps.ca }),
  });
  let closed = false;
  socket.on('open', deps.onOpen);
  socket.on('message', deps.onWake);
  socket.on('error', () => socket.terminate());
  socket.on('close', () => {
    if (!closed) deps.onClose();
  });
  return {
    close() {
      closed = true;
      socket.terminate();
    },
  };
}
