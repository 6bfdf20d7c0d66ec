/** Pages without JavaScript, from the eta templates in web/. Escaped by default. */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Eta } from 'eta';

/** `web/`, beside `api/` in the sources as in `dist/`. */
export const webDirectory = join(dirname(fileURLToPath(import.meta.url)), '../../web');

const eta = new Eta({ views: webDirectory, cache: true, autoEscape: true });

/** The page `web/<name>.eta`, which sees `data` as `it`. */
export function renderPage(name: string, data: object): string {
  return eta.render(`./${name}`, data);
}
