import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { collect } from '../bytes.js';
import { createRepositoryReader, type OpenInput, withoutSecrets } from './reader.js';

let server: Server;
let handle: (request: IncomingMessage, response: ServerResponse) => void;
let host: string;
beforeEach(async () => {
  server = createServer((request, response) => handle(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

const read = async (changes: Partial<OpenInput> = {}, options = {}): Promise<string> => {
  const input = { base: `http://${host}/debian`, path: 'dists/x/InRelease', maxBytes: 100, ...changes };
  const opened = await createRepositoryReader(options).open(input);
  return opened.kind === 'ok' ? (await collect(opened.body)).toString() : opened.kind;
};
const redirect = (location: string) => (request: IncomingMessage, response: ServerResponse) => {
  if (request.url?.startsWith('/debian')) response.writeHead(302, { location }).end();
  else response.end(`at ${request.url} with ${request.headers.authorization ?? 'nothing'}`);
};

describe('over HTTP', () => {
  test('asks for the path below the base, encoded, and without content encodings', async () => {
    handle = (request, response) => response.end(`${request.url} ${request.headers['accept-encoding']}`);
    expect(await read({ path: 'pool/a_1:2+b~c%3a_amd64.deb' })).toBe(
      '/debian/pool/a_1%3A2%2Bb~c%253a_amd64.deb identity',
    );
  });

  test('conditions, and what the server says of the version', async () => {
    handle = (request, response) =>
      response.writeHead(request.headers['if-none-match'] === '"1"' ? 304 : 200, { etag: '"1"' }).end();
    expect(await read({ known: { etag: '"1"', lastModified: null } })).toBe('notModified');
    const opened = await createRepositoryReader().open({ base: `http://${host}`, path: 'x', maxBytes: 1 });
    expect(opened).toMatchObject({ kind: 'ok', etag: '"1"', lastModified: null });
    if (opened.kind === 'ok') await collect(opened.body);
    handle = (request, response) => response.end(request.headers['if-modified-since']);
    const since = 'Sat, 21 Nov 2026 00:53:02 GMT';
    expect(await read({ known: { etag: null, lastModified: since } })).toBe(since);
  });

  test('a password is sent, but never shown', async () => {
    handle = (request, response) => response.writeHead(request.headers.authorization === undefined ? 401 : 500).end();
    const failure = read({ base: `http://user:s3cret@${host}/` });
    await expect(failure).rejects.toMatchObject({ code: 'httpStatus', details: { status: 500 } });
    await expect(failure).rejects.not.toThrow('s3cret');
    expect(withoutSecrets('https://user:s3cret@example.org/x')).toBe('https://example.org/x');
  });

  test.each([
    [404, 'missing'],
    [410, 'missing'],
  ])('%i is %s', async (status, kind) => {
    handle = (_, response) => response.writeHead(status).end();
    expect(await read()).toBe(kind);
  });

  test.each([
    ['500', (r: ServerResponse) => r.writeHead(500).end(), 'httpStatus'],
    ['401', (r: ServerResponse) => r.writeHead(401).end(), 'httpStatus'],
    [
      'an announced length beyond the limit',
      (r: ServerResponse) => r.writeHead(200, { 'content-length': 101 }).end(),
      'tooLarge',
    ],
    ['more than the limit', (r: ServerResponse) => r.write('x'.repeat(60)) && r.end('x'.repeat(60)), 'tooLarge'],
    [
      'a line that is cut',
      (r: ServerResponse) => r.writeHead(200, { 'content-length': 50 }).write('x', () => r.destroy()),
      'unreachable',
    ],
    ['no line', (r: ServerResponse) => r.destroy(), 'unreachable'],
    ['silence', () => undefined, 'timedOut'],
    ['silence halfway', (r: ServerResponse) => r.write('x'), 'timedOut'],
  ])('%s has a name', async (_, reply, code) => {
    handle = (_request, response) => void reply(response);
    await expect(read({}, { idleTimeout: 200 })).rejects.toMatchObject({ name: 'ContentError', code });
  });

  test('a server that trickles is cut off at the end of the whole time', async () => {
    handle = (_, response) => {
      const drip = setInterval(() => response.write('x'), 20);
      response.on('close', () => clearInterval(drip));
    };
    await expect(read({ maxBytes: 1e6 }, { idleTimeout: 5_000, totalTimeout: 200 })).rejects.toMatchObject({
      code: 'timedOut',
    });
  });
});

describe('redirects', () => {
  test('to the same host are followed', async () => {
    handle = redirect('/elsewhere');
    expect(await read()).toBe('at /elsewhere with nothing');
  });

  test('to a configured host are followed, without the password', async () => {
    const other = host.replace('127.0.0.1', 'localhost');
    handle = redirect(`http://${other}/elsewhere`);
    expect(await read({ base: `http://u:p@${host}/debian`, redirectHosts: [other] })).toBe(
      'at /elsewhere with nothing',
    );
  });

  test.each([
    ['another host', 'http://metadata.example.org/latest'],
    ['another port', 'http://127.0.0.1:1/'],
    ['a file', 'file:///etc/passwd'],
    ['nonsense', 'http://['],
    ['itself for ever', '/debian/again'],
  ])('to %s are refused', async (_, location) => {
    handle = redirect(location);
    await expect(read()).rejects.toMatchObject({ code: 'redirectRefused' });
  });
});

test.each([['../x'], ['/x'], ['http://example.org/x'], ['a/../../x'], ['']])('path %j is refused', async (path) => {
  handle = (_, response) => response.end('read');
  await expect(read({ path })).rejects.toMatchObject({ code: 'uriUnsupported' });
});
