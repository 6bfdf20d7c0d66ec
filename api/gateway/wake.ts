/**
 * The wake-up channel: a hint over a WebSocket that polling now is worth it. Nothing depends on it; a hint that is lost
 * costs time only. Replicas hear of releases by NOTIFY, each tells the endpoints connected to it.
 */
import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Logger } from 'pino';
import { type WebSocket, WebSocketServer } from 'ws';
import type { Listener } from '../../db/listen.js';
import { problemOf } from '../http/errors.js';
import type { Verifier } from './signed.js';

export const WAKE_PATH = '/agent/v1/wake';
export const WAKE_CHANNEL = 'rm_wake';
/** Each channel is pinged once in so many seconds: below the minute after which proxies drop what is silent. */
const PING_ROUND = 45;

export interface WakeHub {
  readonly isWakeable: (endpointId: string) => boolean;
  /** Endpoints with a channel. */
  readonly count: () => number;
  /** Takes over the server's upgrades. */
  readonly attach: (server: Server) => void;
  readonly close: () => Promise<void>;
}

export function createWakeHub(deps: { listener: Listener; verifier: Verifier; logger: Logger }): WakeHub {
  const sockets = new Map<string, Set<WebSocket>>();
  const server = new WebSocketServer({ noServer: true, maxPayload: 1_024, perMessageDeflate: false });

  const wake = (endpointId: string): void => {
    for (const socket of sockets.get(endpointId) ?? []) socket.send('{"type":"wake"}');
  };
  const wakeAll = (): void => {
    for (const endpointId of sockets.keys()) wake(endpointId);
  };
  const deaf = deps.listener.on(WAKE_CHANNEL, (payload) => {
    const endpointIds = readPayload(payload);
    if (endpointIds === null) wakeAll();
    else for (const endpointId of endpointIds) wake(endpointId);
  });

  // A share of them each second: ten thousand at once would keep everybody waiting for half a second, and one by one costs most.
  const turns = Array.from({ length: PING_ROUND }, () => new Set<WebSocket>());
  const alive = new WeakSet<WebSocket>();
  let accepted = 0;
  let second = 0;
  const ping = setInterval(() => {
    for (const socket of turns[second++ % PING_ROUND] ?? []) {
      if (alive.delete(socket)) socket.ping();
      else socket.terminate();
    }
  }, 1_000);
  ping.unref();

  const accept = (socket: WebSocket, endpointId: string): void => {
    const all = sockets.get(endpointId) ?? new Set<WebSocket>();
    sockets.set(endpointId, all.add(socket));
    const turn = turns[accepted++ % PING_ROUND] as Set<WebSocket>;
    turn.add(socket);
    alive.add(socket);
    socket.on('pong', () => alive.add(socket));
    socket.on('error', () => socket.terminate());
    socket.on('close', () => {
      turn.delete(socket);
      all.delete(socket);
      if (all.size === 0 && sockets.get(endpointId) === all) sockets.delete(endpointId);
    });
  };

  const upgrade = async (req: IncomingMessage, stream: Duplex, head: Buffer): Promise<void> => {
    stream.on('error', () => stream.destroy());
    if (req.url !== WAKE_PATH) {
      refuse(stream, 404, 'no such path');
      return;
    }
    try {
      const { endpointId } = await deps.verifier.verify({
        method: 'GET',
        url: req.url,
        headers: req.headers,
        body: null,
      });
      server.handleUpgrade(req, stream, head, (socket) => accept(socket, endpointId));
    } catch (error) {
      const problem = problemOf(error);
      if (problem === null) deps.logger.error({ err: error }, 'upgrade failed');
      refuse(stream, problem?.status ?? 500, problem?.message ?? 'something went wrong on our side');
    }
  };

  return {
    isWakeable: (endpointId) => sockets.has(endpointId),
    count: () => sockets.size,
    attach: (http) => {
      http.on('upgrade', (req, stream, head) => void upgrade(req, stream, head));
    },
    close: async () => {
      clearInterval(ping);
      for (const socket of server.clients) socket.close(1001, 'server is stopping');
      deaf();
      for (const socket of server.clients) socket.terminate();
      server.close();
    },
  };
}

/** Endpoint ids; null means everybody (also when the payload can't be read: better one poll too many). */
export function readPayload(payload: string): readonly string[] | null {
  try {
    const ids: unknown = JSON.parse(payload);
    return Array.isArray(ids) && ids.every((id) => typeof id === 'string') ? ids : null;
  } catch {
    return null;
  }
}

function refuse(stream: Duplex, status: number, error: string): void {
  const body = JSON.stringify({ serverTime: Date.now(), error });
  stream.end(
    `HTTP/1.1 ${status} Refused\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
}
