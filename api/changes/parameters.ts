import { parseAgentUpdateParameters } from '../../domain/change/agent-update-parameters.js';
import { parsePatchParameters } from '../../domain/change/patch-parameters.js';
import { parseRemediationParameters } from '../../domain/change/remediation-parameters.js';
import type { Parsed } from '../../domain/schedule/model.js';
import type { ApiDeps } from '../deps.js';

const PARSERS: Readonly<Record<string, (parameters: unknown) => Parsed<unknown>>> = {
  patch: parsePatchParameters,
  agentUpdate: parseAgentUpdateParameters,
  remediation: parseRemediationParameters,
};

/** Kinds of change that can be asked for, each with how its parameters are read. */
export const parseParameters: ApiDeps['parseParameters'] = (kind, parameters) => {
  const parse = PARSERS[kind];
  if (parse === undefined) return null;
  const parsed = parse(parameters);
  return parsed.ok ? [] : parsed.problems;
};
