/** What is no HTTP at all, answered as everything else that is wrong: with a problem document. */
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { Problem } from './problem.js';

interface ParserError extends Error {
  readonly code?: string;
}

/** Node's parser refuses such requests before any handler runs, by itself with an empty body. */
export function answerParserErrors(server: Server): void {
  server.on('clientError', (error: ParserError, socket: Socket) => {
    if (error.code === 'ECONNRESET' || !socket.writable) {
      socket.destroy();
      return;
    }
    const problem = problemOfParser(error.code);
    const body = JSON.stringify(problem.body());
    const head = [
      `HTTP/1.1 ${problem.status} ${problem.options.title}`,
      'content-type: application/problem+json',
      `content-length: ${Buffer.byteLength(body)}`,
      'cache-control: no-store',
      'connection: close',
    ];
    socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
  });
}

function problemOfParser(code: string | undefined): Problem {
  if (code === 'HPE_HEADER_OVERFLOW') {
    const title = 'Request Header Fields Too Large';
    return new Problem({ status: 431, type: 'headers-too-large', title, detail: 'path and headers exceed 16 KiB' });
  }
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    const title = 'Request Timeout';
    return new Problem({ status: 408, type: 'request-timeout', title, detail: 'the request did not come in time' });
  }
  return new Problem({ status: 400, type: 'bad-request', title: 'Bad Request', detail: 'this is not HTTP/1.1' });
}
