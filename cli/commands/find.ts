/** From what people type (a name, the beginning of an id) to the one thing meant. */
import type { ApiClient } from '../client/http-client.js';
import type { ChangeSummary, EndpointSummary } from '../client/types.js';
import type { ZeroDaySummary } from '../client/zero-day-types.js';
import { CliError, EXIT } from '../exit-codes.js';
import { plain } from '../output/plain.js';

const UUID = /^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$/i;
const PREFIX = /^[0-9a-f][0-9a-f-]{3,35}$/i;

/** The endpoint's id. A name that several endpoints have is refused rather than guessed. */
export async function findEndpoint(client: ApiClient, wanted: string): Promise<string> {
  if (UUID.test(wanted)) return wanted.toLowerCase();
  const found: EndpointSummary[] = [];
  for await (const one of client.pages<EndpointSummary>('/v1/endpoints', { name: wanted })) {
    if (one.name === wanted) found.push(one);
  }
  const active = found.filter((one) => one.state !== 'retired');
  return theOne('endpoint', wanted, active.length > 0 ? active : found);
}

/** The change's id, from an id, the first characters of one, or a name. */
export async function findChange(client: ApiClient, wanted: string): Promise<string> {
  if (UUID.test(wanted)) return wanted.toLowerCase();
  const found: ChangeSummary[] = [];
  for await (const one of client.pages<ChangeSummary>('/v1/changes')) {
    if (one.name === wanted || (PREFIX.test(wanted) && one.id.startsWith(wanted.toLowerCase()))) found.push(one);
  }
  // A schedule gives all its cycles the same name: the one still open is meant.
  const open = found.filter((one) => one.closedAt === null);
  return theOne('change', wanted, open.length === 1 ? open : found);
}

/** The zero-day's id, from an id, the first characters of one, or a name. */
export async function findZeroDay(client: ApiClient, wanted: string): Promise<string> {
  if (UUID.test(wanted)) return wanted.toLowerCase();
  const found: ZeroDaySummary[] = [];
  for await (const one of client.pages<ZeroDaySummary>('/v1/zero-day')) {
    if (one.name === wanted || (PREFIX.test(wanted) && one.id.startsWith(wanted.toLowerCase()))) found.push(one);
  }
  return theOne('zero-day', wanted, found);
}

function theOne(
  what: string,
  wanted: string,
  found: readonly { readonly id: string; readonly name: string }[],
): string {
  const [first, ...others] = found;
  if (first === undefined) throw new CliError(EXIT.notFound, `no such ${what}: ${plain(wanted)}`);
  if (others.length === 0) return first.id;
  throw new CliError(EXIT.refused, `${found.length} ${what}s fit "${plain(wanted)}": give the id`, [
    ...found.slice(0, 10).map(({ id, name }) => `${id}  ${plain(name)}`),
  ]);
}
