// One file from where this machine's apt takes its packages, by whatever way apt itself would go.
import { createWriteStream, existsSync, rmSync, utimesSync } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';
import { mustRun, runCommand } from './process.js';
import { aptHelper } from './requirements.js';

export type Downloaded = { done: true } | { refused: 404 | 502; detail: string };

let direct: Promise<boolean> | undefined;

/**
 * Downloads `address` into `file`, giving it the server's Last-Modified time. Plain HTTP goes over kept-alive
 * connections; a proxy, credentials, or any other transport apt is set up with is left to apt's own downloader.
 */
export async function download(address: string, file: string): Promise<Downloaded> {
  direct ??= noProxyConfigured();
  if (/^https?:/.test(address) && (await direct)) {
    const result = await fetchInto(address, file).catch(() => undefined);
    if (result !== undefined) return result;
  }
  const options = ['-qq', '-o', 'APT::Sandbox::User=root', '-o', 'Acquire::Retries=2'];
  const result = await runCommand([aptHelper, ...options, 'download-file', address, file], { timeoutMs: 300_000 });
  if (result.code === 0 && existsSync(file)) return { done: true };
  rmSync(file, { force: true });
  const detail = result.stderr.trim();
  return { refused: /\b404\b/.test(detail) ? 404 : 502, detail };
}

/** The outcome, or undefined when the server wants more than a plain request. */
async function fetchInto(address: string, file: string): Promise<Downloaded | undefined> {
  const response = await fetch(address, { signal: AbortSignal.timeout(300_000) });
  if (response.status === 404) return { refused: 404, detail: 'not found' };
  if (response.status !== 200 || response.body === null) {
    await response.body?.cancel();
    return undefined;
  }
  await pipeline(Readable.fromWeb(response.body as ReadableStream<Uint8Array>), createWriteStream(file));
  const modified = Date.parse(response.headers.get('last-modified') ?? '');
  if (!Number.isNaN(modified)) utimesSync(file, new Date(), modified / 1000);
  return { done: true };
}

async function noProxyConfigured(): Promise<boolean> {
  if (process.env.http_proxy ?? process.env.https_proxy ?? process.env.all_proxy) return false;
  const dump = ['apt-config', 'dump', '--no-empty', '--format', '%f=%v%n', 'Acquire'];
  const configured = await mustRun(dump).catch(() => ''); // no apt, so none of its proxies either
  return !/^Acquire::https?::Proxy/im.test(configured);
}
