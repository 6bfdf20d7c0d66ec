/**
 * One-time codes: bound to one request, one plan digest and one person, made from a key that only workers hold. The web
 * tier passes on what was typed; it can neither make a code nor tell a right one.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';

export interface CodeSubject {
  readonly requestId: string;
  readonly planDigest: string;
  readonly accountId: string;
}

/** Without 0, 1, I, L, O, U: nothing that is misread, or reads as a word. */
const ALPHABET = '23456789ABCDEFGHJKMNPQRSTVWXYZ';
const LENGTH = 10;

/** Ten characters, about 49 bits, shown in two groups. */
export function oneTimeCode(key: Buffer, subject: CodeSubject): string {
  const mac = createHmac('sha256', key)
    .update(JSON.stringify([subject.requestId, subject.planDigest, subject.accountId]))
    .digest();
  let bits = BigInt(`0x${mac.toString('hex')}`);
  let code = '';
  for (let i = 0; i < LENGTH; i += 1) {
    code += ALPHABET[Number(bits % BigInt(ALPHABET.length))];
    bits /= BigInt(ALPHABET.length);
  }
  return `${code.slice(0, 5)}-${code.slice(5)}`;
}

const bare = (typed: string): string => typed.toUpperCase().replace(/[\s-]/g, '');

/** Whether the text could be a code at all. What machines fill into forms hardly ever could, and is no try. */
export function looksLikeCode(typed: string): boolean {
  const text = bare(typed);
  return text.length === LENGTH && [...text].every((letter) => ALPHABET.includes(letter));
}

/** Compares in constant time; spaces, hyphens and case do not matter. */
export function codeMatches(args: {
  readonly key: Buffer;
  readonly subject: CodeSubject;
  readonly typed: string;
}): boolean {
  const [right, typed] = [oneTimeCode(args.key, args.subject), args.typed].map((text) => Buffer.from(bare(text))) as [
    Buffer,
    Buffer,
  ];
  return right.length === typed.length && timingSafeEqual(right, typed);
}
