/** YAML documents `kind / name / spec`, read strictly and checked with the server's own schemas. */
import { fieldErrors } from '../../api/http/validate.js';
import { CliError, EXIT } from '../exit-codes.js';
import { readYaml, type YamlDocument } from '../yaml/source.js';
import { kindNamed, RESOURCE_KINDS, type ResourceKind } from './resource-kinds.js';

export interface WantedResource {
  readonly kind: ResourceKind;
  readonly name: string;
  /** As the schema reads it, defaults filled in. */
  readonly spec: unknown;
  readonly document: YamlDocument;
}

/** @throws CliError naming everything that is wrong with file, line and column */
export function readResources(files: readonly string[]): WantedResource[] {
  const problems: string[] = [];
  const wanted: WantedResource[] = [];
  const seen = new Map<string, string>();
  for (const document of files.flatMap(readYaml)) {
    const read = readResource(document);
    if ('problems' in read) {
      problems.push(...read.problems);
      continue;
    }
    const key = `${read.kind.kind} ${read.name}`;
    const first = seen.get(key);
    if (first !== undefined) problems.push(`${document.place('name')}: ${key} is already described at ${first}`);
    else seen.set(key, document.place('name'));
    wanted.push(read);
  }
  if (problems.length > 0) throw new CliError(EXIT.usage, 'nothing was applied: the documents are not valid', problems);
  if (wanted.length === 0) throw new CliError(EXIT.usage, 'the files hold no documents');
  return wanted;
}

function readResource(document: YamlDocument): WantedResource | { readonly problems: readonly string[] } {
  const { value } = document;
  const at = (field: string, reason: string) =>
    `${document.place(field)}: ${field === '' ? '' : `${field}: `}${reason}`;
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return { problems: [at('', 'must be a document with kind, name and spec')] };
  const { kind, name, spec, ...others } = value as Readonly<Record<string, unknown>>;
  const problems = Object.keys(others).map((field) => at(field, 'unknown field'));
  const found = kindNamed(kind);
  if (found === undefined)
    problems.push(at('kind', `must be one of ${RESOURCE_KINDS.map((one) => one.kind).join(', ')}`));
  if (typeof name !== 'string' || name.trim() !== name || name === '' || name.length > 200)
    problems.push(at('name', 'must be a text of 1 to 200 characters, without space around it'));
  const parsed = found?.schema.safeParse(spec);
  if (parsed !== undefined && !parsed.success) {
    problems.push(
      ...fieldErrors(parsed.error, 'body').map((error) =>
        at(error.field === '' ? 'spec' : `spec.${error.field}`, error.reason),
      ),
    );
  }
  if (problems.length > 0 || found === undefined || parsed?.success !== true) return { problems };
  return { kind: found, name: name as string, spec: parsed.data, document };
}
