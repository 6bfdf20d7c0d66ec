/** A decision written in a ticket. It must name the whole digest of the plan: nobody approves a plan by chance, or an old one. */

export interface WrittenDecision {
  readonly decision: 'approve' | 'reject';
  readonly planDigest: string;
  /** A one-time code, as typed; null: none. */
  readonly code: string | null;
  /** What else was said on that line. */
  readonly comment: string;
}

export type ReadDecision =
  | { readonly kind: 'none' }
  | { readonly kind: 'decision'; readonly written: WrittenDecision }
  /** Somebody tried; tell them why it does not count. */
  | { readonly kind: 'unclear'; readonly reason: string };

const LINE = /^(approve|approved|reject|rejected)\b[\s:,-]*(.*)$/i;
const DIGEST = /(?:^|[\s:(])([0-9a-f]{64})(?![0-9a-f])/i;
const CODE = /(?:^|\s)([2-9A-Z]{5}-[2-9A-Z]{5})(?=\s|$)/i;
const LONGEST = 20_000;

/**
 * What a comment decides. Only lines that begin with the word count; quoted ones (`> …`) and everything below a signature or the
 * line a mail program puts above what it quotes do not, so that an answer never repeats what it answers.
 */
export function readDecision(text: string): ReadDecision {
  const lines: string[] = [];
  for (const raw of text.slice(0, LONGEST).split(/\r?\n/)) {
    const line = raw.trim();
    if (line === '--' || /^On .{1,200} wrote:$/.test(line) || /^-{3,} ?Original Message/i.test(line)) break;
    if (!line.startsWith('>') && LINE.test(line)) lines.push(line);
  }
  if (lines.length === 0) return { kind: 'none' };
  const read = lines.map(readLine);
  const named = read.filter((one) => one.planDigest !== null);
  if (named.length === 0) {
    // "Approved, thanks" is said in many tickets; only somebody who gives a digest means this one.
    return { kind: 'unclear', reason: 'it does not name the plan: write “approve” and the whole digest on one line' };
  }
  const different = new Set(named.map((one) => `${one.decision} ${one.planDigest}`));
  if (different.size > 1) return { kind: 'unclear', reason: 'it says more than one thing' };
  const [first] = named;
  return { kind: 'decision', written: first as WrittenDecision };
}

function readLine(line: string): Omit<WrittenDecision, 'planDigest'> & { planDigest: string | null } {
  const [, word = '', rest = ''] = LINE.exec(line) ?? [];
  const digest = DIGEST.exec(rest)?.[1] ?? null;
  const code = CODE.exec(rest)?.[1] ?? null;
  const said = [digest, code].reduce<string>((left, part) => (part === null ? left : left.replace(part, ' ')), rest);
  return {
    decision: word.toLowerCase().startsWith('approve') ? 'approve' : 'reject',
    planDigest: digest?.toLowerCase() ?? null,
    code: code?.toUpperCase() ?? null,
    comment: said.replace(/\s+/g, ' ').trim().slice(0, 2_000),
  };
}
