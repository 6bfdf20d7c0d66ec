import { parsePatchParameters } from '../../domain/change/patch-parameters.js';
import type { ApiDeps } from '../deps.js';

/** Kinds of change that can be asked for, each with how its parameters are read. */
export const parseParameters: ApiDeps['parseParameters'] = (kind, parameters) => {
  if (kind !== 'patch') return null;
  const parsed = parsePatchParameters(parameters);
  return parsed.ok ? [] : parsed.problems;
};
