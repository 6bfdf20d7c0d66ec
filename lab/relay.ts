// The only way out for apt in the lab: a caching forward proxy on the lab's bridge. It knows a handful of path segments
// and answers 403 to everything else, so hosts reach no other server.
import { createHash, randomUUID } from 'node:crypto';
import { createReadStream, existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { join, resolve, sep } from 'node:path';
import { type Downloaded, download } from './download.js';
import { identify } from './process.js';
import { mirrorHost, repositoryHost, type Upstreams } from './sources.js';

export type RelayStats = { hits: number; misses: number; bytes: number };

export type Relay = {
  port: number;
  /** "http://address:port": apt's proxy, and the place `/lab` (the lab's repository) is served from directly. */
  url: string;
  stats: RelayStats;
  close(): Promise<void>;
};

export type RelayOptions = {
  address: string;
  /** 0 picks a free one. */
  port: number;
  /** Packages stay here for later labs; indexes only for this relay's life, so that one lab sees one state of them. */
  cacheDir: string;
  upstreams: Upstreams;
  /** Folder served as `/lab`, if any. */
  repositoryDir?: string;
};

/** Starts listening. Requests may be absolute-form (as a proxy) or origin-form; both name the same segments. */
export async function startRelay(options: RelayOptions): Promise<Relay> {
  const fetcher = new Fetcher(options);
  const stats: RelayStats = fetcher.stats;
  const server = createServer((request, response) => {
    answer({ request, response, options, fetcher }).catch((error: unknown) => refuse(response, 502, String(error)));
  });
  server.keepAliveTimeout = 30_000;
  await new Promise<void>((done, fail) => {
    server.once('error', fail);
    server.listen(options.port, options.address, done);
  });
  const bound = server.address();
  const port = typeof bound === 'object' && bound !== null ? bound.port : options.port;
  return {
    port,
    url: `http://${options.address}:${port}`,
    stats,
    close: () =>
      new Promise<void>((done) => {
        server.close(() => {
          fetcher.forget();
          done();
        });
        server.closeAllConnections();
      }),
  };
}

type Exchange = { request: IncomingMessage; response: ServerResponse; options: RelayOptions; fetcher: Fetcher };

async function answer({ request, response, options, fetcher }: Exchange): Promise<void> {
  if (request.method !== 'GET' && request.method !== 'HEAD') return refuse(response, 405, 'only GET and HEAD');
  const url = new URL(request.url ?? '/', `http://${mirrorHost}`);
  const viaProxy = !(request.url ?? '/').startsWith('/');
  if (viaProxy && url.hostname !== mirrorHost && url.hostname !== repositoryHost)
    return refuse(response, 403, `the lab has no way to ${url.hostname}`);
  const [, segment = '', ...rest] = url.pathname.split('/');
  if (segment === 'lab' && options.repositoryDir !== undefined) {
    const file = resolve(options.repositoryDir, ...rest.map(decodeURIComponent));
    if (!file.startsWith(resolve(options.repositoryDir) + sep)) return refuse(response, 403, 'outside the repository');
    return send(request, response, file, fetcher.stats);
  }
  const upstream = options.upstreams.get(segment);
  if (upstream === undefined) return refuse(response, 404, `nothing is served as /${segment}`);
  const fetched = await fetcher.get(`${upstream}/${rest.join('/')}`);
  if ('refused' in fetched) return refuse(response, fetched.refused, fetched.detail);
  return send(request, response, fetched.file, fetcher.stats);
}

/** Downloads each address once, however many ask at the same time. */
class Fetcher {
  readonly stats: RelayStats = { hits: 0, misses: 0, bytes: 0 };
  private readonly running = new Map<string, Promise<Fetched>>();
  private readonly lasting: string;
  private readonly passing: string;

  constructor(options: RelayOptions) {
    this.lasting = join(options.cacheDir, 'packages');
    this.passing = join(options.cacheDir, `indexes-${process.pid}-${randomUUID()}`);
    mkdirSync(this.lasting, { recursive: true });
    for (const name of readdirSync(options.cacheDir)) {
      const maker = /^indexes-(\d+)-/.exec(name)?.[1];
      if (maker !== undefined && !identify(Number(maker)))
        rmSync(join(options.cacheDir, name), { recursive: true, force: true }); // left by a killed relay
    }
    mkdirSync(this.passing, { recursive: true });
  }

  get(address: string): Promise<Fetched> {
    const key = createHash('sha256').update(address).digest('hex');
    // Only what is named by its content never changes: package files, and indexes fetched by hash.
    const unchanging = /\.deb$|\/by-hash\//.test(address);
    const file = join(unchanging ? this.lasting : this.passing, key);
    if (existsSync(file)) {
      this.stats.hits++;
      return Promise.resolve({ file });
    }
    const running = this.running.get(key) ?? this.download(address, file).finally(() => this.running.delete(key));
    this.running.set(key, running);
    return running;
  }

  forget(): void {
    rmSync(this.passing, { recursive: true, force: true });
  }

  private async download(address: string, file: string): Promise<Fetched> {
    this.stats.misses++;
    const part = join(this.passing, randomUUID());
    const result: Downloaded = await download(address, part);
    if ('refused' in result) return result;
    renameSync(part, file);
    return { file };
  }
}

type Fetched = { file: string } | { refused: 404 | 502; detail: string };

function send(request: IncomingMessage, response: ServerResponse, file: string, stats: RelayStats): void {
  const stat = statSync(file, { throwIfNoEntry: false });
  if (!stat?.isFile()) {
    refuse(response, 404, 'not there');
    return;
  }
  const modified = Math.floor(stat.mtimeMs / 1000) * 1000;
  const known = Date.parse(request.headers['if-modified-since'] ?? '');
  response.setHeader('Last-Modified', new Date(modified).toUTCString());
  if (known >= modified) return void response.writeHead(304).end();
  const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
  const partial = from > 0 && from < stat.size;
  const start = partial ? from : 0;
  if (partial) response.setHeader('Content-Range', `bytes ${start}-${stat.size - 1}/${stat.size}`);
  response.writeHead(partial ? 206 : 200, { 'Content-Length': stat.size - start, 'Accept-Ranges': 'bytes' });
  if (request.method === 'HEAD') return void response.end();
  stats.bytes += stat.size - start;
  createReadStream(file, { start })
    .on('error', () => response.destroy())
    .pipe(response);
}

function refuse(response: ServerResponse, status: number, reason: string): void {
  if (response.headersSent) return void response.destroy();
  response.writeHead(status, { 'Content-Type': 'text/plain' }).end(`${reason}\n`);
}
