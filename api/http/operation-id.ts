/** Names of operations, for generated clients: `listEndpoints`, `getEndpoint`, `scanEndpoint`, `stopAll`. */
import type { Method, Route } from './route.js';

const VERBS: Readonly<Record<Exclude<Method, 'get' | 'post'>, string>> = {
  put: 'put',
  patch: 'update',
  delete: 'delete',
};

/** Made from method and path alone, so that it changes only when they do. */
export function operationId(route: Pick<Route, 'method' | 'path'>): string {
  const parts = route.path.split('/').slice(2);
  // A name followed by a parameter is one of them: /endpoints/:id/orders is "endpoint", "orders".
  const words = parts.flatMap((part, i) => {
    if (part.startsWith(':')) return [];
    return [parts[i + 1]?.startsWith(':') === true ? singular(part) : part];
  });
  const single = parts.at(-1)?.startsWith(':') === true;
  const last = words.at(-1) ?? '';
  if (route.method === 'get') return camel([!single && isCollection(last) ? 'list' : 'get', ...words]);
  if (route.method !== 'post') return camel([VERBS[route.method], ...words]);
  if (single || isPlural(last)) return camel(['create', ...words.slice(0, -1), singular(last)]);
  // What is posted to and is no collection is a verb.
  return camel([last, ...words.slice(0, -1)]);
}

/** One collection has no plural: its items would else be called as it is. */
const isCollection = (word: string): boolean => isPlural(word) || word === 'zero-day';
const isPlural = (word: string): boolean => /s$/.test(word);
const singular = (word: string): string => word.replace(/ies$/, 'y').replace(/s$/, '');

function camel(words: readonly string[]): string {
  const joined = words.join('-').split('-');
  return joined.map((word, i) => (i === 0 ? word : word.charAt(0).toUpperCase() + word.slice(1))).join('');
}
