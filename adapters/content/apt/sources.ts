/** Reads apt's own lists of sources, both forms of sources.list(5). Parsing only; `discover.ts` finds the files. */
import { parseDeb822 } from '../../../domain/content/deb822.js';

export interface AptSource {
  readonly uri: string;
  readonly suite: string;
  readonly components: readonly string[];
  /** Empty: the machine's own. */
  readonly architectures: readonly string[];
  /** Files and fingerprints as written, or armored keys; null: apt's trusted keys. */
  readonly signedBy:
    | { readonly files: readonly string[]; readonly fingerprints: readonly string[] }
    | { readonly armored: string }
    | null;
  /** Null: as apt's configuration says. */
  readonly checkValidUntil: boolean | null;
}

/** A source that can't be used, and why; shown to whoever configures repositories. */
export interface SourceProblem {
  readonly file: string;
  readonly line: number;
  readonly reason: string;
}

export interface ParsedSources {
  readonly sources: readonly AptSource[];
  readonly problems: readonly SourceProblem[];
}

interface Draft {
  readonly line: number;
  readonly types: readonly string[];
  readonly uris: readonly string[];
  readonly suites: readonly string[];
  readonly components: readonly string[];
  readonly option: (name: string) => string | undefined;
}

/** One-line form: `deb [arch=amd64 signed-by=/path] http://host/debian suite component…`. */
export function parseOneLineSources(file: string, text: string): ParsedSources {
  const drafts: Draft[] = [];
  const problems: SourceProblem[] = [];
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.replace(/#.*$/, '').trim();
    if (line === '') continue;
    const match = /^(\S+)\s+(?:\[([^\]]*)\]\s*)?(\S+)\s+(\S+)((?:\s+\S+)*)$/.exec(line);
    if (match === null) {
      problems.push({ file, line: index + 1, reason: 'is not "type [options] uri suite components"' });
      continue;
    }
    const [, type = '', optionText = '', uri = '', suite = '', components = ''] = match;
    const options = new Map(
      words(optionText).map((word) => [word.slice(0, word.indexOf('=')), word.slice(word.indexOf('=') + 1)]),
    );
    drafts.push({
      line: index + 1,
      types: [type],
      uris: [uri],
      suites: [suite],
      components: words(components),
      // In this form lists are separated by commas.
      option: (name) => options.get(name === 'architectures' ? 'arch' : name)?.replaceAll(',', ' '),
    });
  }
  return gather(file, drafts, problems);
}

/** deb822 form: paragraphs with Types, URIs, Suites, Components, Signed-By, … */
export function parseDeb822Sources(file: string, text: string): ParsedSources {
  const parsed = parseDeb822(text, { comments: true });
  if (!parsed.ok) return { sources: [], problems: [{ file, ...parsed.error }] };
  const drafts = parsed.stanzas
    .filter(({ fields }) => isYes(fields.get('enabled') ?? 'yes'))
    .map(({ line, fields }) => ({
      line,
      types: words(fields.get('types')),
      uris: words(fields.get('uris')),
      suites: words(fields.get('suites')),
      components: words(fields.get('components')),
      option: (name: string) => fields.get(name),
    }));
  return gather(file, drafts, []);
}

function gather(file: string, drafts: readonly Draft[], problems: SourceProblem[]): ParsedSources {
  const sources: AptSource[] = [];
  for (const draft of drafts) {
    // Source packages are nothing we install.
    if (!draft.types.includes('deb')) continue;
    const signedBy = signedByOf(draft.option('signed-by'));
    const valid = draft.option('check-valid-until');
    for (const uri of draft.uris) {
      for (const suite of draft.suites) {
        const reason = problemOf(uri, suite, draft);
        if (reason !== null) {
          problems.push({ file, line: draft.line, reason });
          continue;
        }
        sources.push({
          uri,
          suite,
          components: draft.components,
          architectures: words(draft.option('architectures')),
          signedBy,
          checkValidUntil: valid === undefined ? null : isYes(valid),
        });
      }
    }
    if (draft.uris.length === 0) problems.push({ file, line: draft.line, reason: 'has no URIs' });
    if (draft.suites.length === 0) problems.push({ file, line: draft.line, reason: 'has no Suites' });
  }
  return { sources, problems };
}

function problemOf(uri: string, suite: string, draft: Draft): string | null {
  const protocol = URL.canParse(uri) ? new URL(uri).protocol : null;
  if (protocol === null) return `${uri} is not an address`;
  if (!['http:', 'https:', 'file:'].includes(protocol)) return `${protocol} sources are not supported`;
  if (suite.endsWith('/')) return `${suite} is a flat repository, which is not supported`;
  if (draft.components.length === 0) return 'has no components';
  return null;
}

function signedByOf(value: string | undefined): AptSource['signedBy'] {
  if (value === undefined || value.trim() === '') return null;
  if (value.includes('-----BEGIN PGP')) {
    // An empty line inside the field is written as a single dot.
    const armored = value
      .trim()
      .split('\n')
      .map((line) => (line.trim() === '.' ? '' : line.trim()));
    return { armored: `${armored.join('\n')}\n` };
  }
  const items = words(value.replaceAll(',', ' '));
  return {
    files: items.filter((item) => item.startsWith('/')),
    fingerprints: items.filter((item) => !item.startsWith('/')),
  };
}

const words = (text: string | undefined): string[] => (text ?? '').split(/\s+/).filter((word) => word !== '');
const isYes = (text: string): boolean =>
  ['yes', 'true', 'on', '1', 'with', 'enable'].includes(text.trim().toLowerCase());
