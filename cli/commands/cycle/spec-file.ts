/** A specification from a file, checked with the server's own schema before it travels. */
import { fieldErrors } from '../../../api/http/validate.js';
import type { ChangeSpec } from '../../../domain/change/spec.js';
import { changeSpecSchema } from '../../../domain/change/spec-schema.js';
import { ApiError } from '../../client/api-error.js';
import { CliError, EXIT } from '../../exit-codes.js';
import { readYaml, type YamlDocument } from '../../yaml/source.js';
import { CYCLE_KIND } from './look.js';

export interface SpecFile {
  readonly spec: ChangeSpec;
  readonly document: YamlDocument;
}

/** @throws CliError naming every wrong field with file, line and column */
export function readSpec(path: string): SpecFile {
  const [document, ...others] = readYaml(path);
  if (document === undefined) throw new CliError(EXIT.usage, `${path} holds nothing`);
  if (others.length > 0) throw new CliError(EXIT.usage, `${path} holds ${others.length + 1} documents, not one`);
  const parsed = changeSpecSchema.safeParse(document.value);
  if (!parsed.success) {
    const errors = fieldErrors(parsed.error, 'body');
    throw new CliError(
      EXIT.usage,
      `${document.file} is not a valid specification`,
      errors.map(({ field, reason }) => `${document.place(field)}: ${field === '' ? '' : `${field}: `}${reason}`),
    );
  }
  if (parsed.data.kind !== CYCLE_KIND)
    throw new CliError(EXIT.usage, `${document.place('kind')}: kind: a cycle is a change of kind ${CYCLE_KIND}`);
  return { spec: parsed.data, document };
}

/** The server's findings with the places in the file they are about. */
export function located(error: unknown, document: YamlDocument, prefix = ''): unknown {
  if (!(error instanceof ApiError) || error.fields.length === 0) return error;
  const lines = error.fields.map(({ field, reason }) => `${document.place(prefix + field)}: ${field}: ${reason}`);
  return new CliError(error.code, error.message, [
    ...lines,
    ...(error.requestId === null ? [] : [`request id: ${error.requestId}`]),
  ]);
}
