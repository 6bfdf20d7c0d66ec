/** The system's own Chromium for pages; tests that need it are skipped by name where there is none. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BrowserContext, type BrowserContextOptions, chromium } from 'playwright-core';

const PLACES = [
  process.env.RINGMASTER_TEST_CHROMIUM,
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
];

/** Undefined: this machine has none. */
export const chromiumPath = PLACES.find((path) => path !== undefined && existsSync(path));

export interface Chromium {
  /** Cookies and storage of its own. */
  readonly open: (options?: BrowserContextOptions) => Promise<BrowserContext>;
  readonly close: () => Promise<void>;
}

/** It looks nothing up and reports nothing: whatever it asks for is of the page under test. */
export async function startChromium(): Promise<Chromium> {
  const home = mkdtempSync(join(tmpdir(), 'ringmaster-chromium-'));
  const browser = await chromium.launch({
    executablePath: chromiumPath as string,
    headless: true,
    args: [
      ...['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'],
      ...['--disable-component-update', '--disable-sync', '--disable-dev-shm-usage'],
    ],
    env: { HOME: home, PATH: process.env.PATH ?? '', XDG_CONFIG_HOME: home, XDG_CACHE_HOME: home },
    timeout: 60_000,
  });
  return {
    open: (options) => browser.newContext({ locale: 'en-GB', reducedMotion: 'reduce', ...options }),
    close: async () => {
      await browser.close();
      rmSync(home, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}
