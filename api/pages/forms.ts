/** What pages with forms have in common: who may post one, and what was filled in. */
import express, { type Request, type RequestHandler } from 'express';
import { type FormGuard, refuseForeign } from '../auth/csrf.js';
import { notFound } from '../http/problem.js';

export type Fields = Readonly<Record<string, string>>;

/** Before every handler of a form: not from elsewhere, not too much, and with the form's own token. */
export const guardedForm = (forms: FormGuard): RequestHandler[] => [
  refuseForeign,
  express.urlencoded({ extended: false, limit: '20kb' }),
  forms.requireFormToken,
];

/** Fields given once, as text; what is left out reads as empty. */
export function fieldsOf(req: Request, names: readonly string[]): Fields {
  const body = (req.body ?? {}) as Record<string, unknown>;
  return Object.fromEntries(
    names.map((name) => {
      const value = body[name];
      return [name, typeof value === 'string' ? value.replaceAll('\0', '').trim() : ''];
    }),
  );
}

/** A name in the address. @throws Problem 404 for what no name can be */
export function namedIn(req: Request, part: string): string {
  const name = String(req.params[part] ?? '');
  if (name === '' || name.includes('\0')) throw notFound('page');
  return name;
}

/** What a query asks for once, as text. */
export function askedFor(req: Request, name: string): string {
  const value = req.query[name];
  return typeof value === 'string' ? value.trim().slice(0, 300) : '';
}
