/** What the server refused, in words and as an exit code. */
import { CliError, EXIT, type ExitCode } from '../exit-codes.js';

/** One field of a refused request, as problem documents name it. */
export interface FieldProblem {
  readonly field: string;
  readonly in: string;
  readonly reason: string;
}

/** A problem document (RFC 9457) as far as the command line reads it. */
export interface ProblemDocument {
  readonly type?: string;
  readonly title?: string;
  readonly status?: number;
  readonly detail?: string;
  readonly instance?: string;
  readonly errors?: readonly FieldProblem[];
}

export class ApiError extends CliError {
  readonly status: number;
  readonly problem: ProblemDocument;
  readonly requestId: string | null;
  constructor(args: { status: number; problem: ProblemDocument; requestId: string | null }) {
    const { status, problem, requestId } = args;
    super(codeOf(status), sentence(status, problem), details(problem, requestId, status));
    this.status = status;
    this.problem = problem;
    this.requestId = requestId;
  }

  get fields(): readonly FieldProblem[] {
    return this.problem.errors ?? [];
  }
}

/** The exit code for an HTTP status that is no success. */
export function codeOf(status: number): ExitCode {
  if (status === 401 || status === 403) return EXIT.denied;
  if (status === 404) return EXIT.notFound;
  if (status === 408 || status === 504) return EXIT.timedOut;
  if (status === 409 || status === 410 || status === 412 || status === 423 || status === 428 || status === 429)
    return EXIT.refused;
  if (status >= 400 && status < 500) return EXIT.usage;
  return status === 502 || status === 503 ? EXIT.unreachable : EXIT.failed;
}

function sentence(status: number, problem: ProblemDocument): string {
  const title = problem.title ?? `the server answered ${status}`;
  // With fields each gets a line of its own below.
  if ((problem.errors?.length ?? 0) > 0 || problem.detail === undefined) return title;
  return `${title}: ${problem.detail}`;
}

function details(problem: ProblemDocument, requestId: string | null, status: number): string[] {
  const lines = (problem.errors ?? []).map(
    ({ field, in: where, reason }) => `${field === '' ? where : field}: ${reason}`,
  );
  if (status === 401) lines.push('Set RINGMASTER_TOKEN, or give --token-file.');
  if (requestId !== null) lines.push(`request id: ${requestId}`);
  return lines;
}
