import { describe, expect, test } from '@jest/globals';
import { isDatabaseAway, problemOf } from './errors.js';
import { notFound } from './problem.js';

const coded = (code: string) => Object.assign(new Error('x'), { code });

describe('problemOf', () => {
  test.each<[string, unknown, number | null]>([
    ['what a handler threw on purpose', notFound('change'), 404],
    ['connection refused', coded('ECONNREFUSED'), 503],
    ['refused on both address families', new AggregateError([coded('ECONNREFUSED'), coded('ECONNREFUSED')]), 503],
    ['server stopped under a query', coded('57P01'), 503],
    ['server starting', coded('57P03'), 503],
    ['too many connections', coded('53300'), 503],
    ['a full disk', coded('53100'), 503],
    ['connection lost', new Error('Connection terminated unexpectedly'), 503],
    ['no connection free', new Error('timeout exceeded when trying to connect'), 503],
    ['deadlock', coded('40P01'), 503],
    ['statement timeout', coded('57014'), 503],
    ['a zero byte', coded('22021'), 400],
    ['a number out of range', coded('22003'), 400],
    ['a second of the same name', coded('23505'), 409],
    ['broken JSON', Object.assign(new SyntaxError('x'), { type: 'entity.parse.failed', status: 400 }), 400],
    ['a body too large', Object.assign(new Error('too large'), { status: 413, expose: true }), 413],
    ['an undecodable path', new URIError('x'), 400],
    ['a table that is not there: our fault', coded('42P01'), null],
    ['a bug', new TypeError('x is not a function'), null],
    ['something that is no error', 'thrown text', null],
    ['nothing', undefined, null],
  ])('%s', (_, error, status) => {
    expect(problemOf(error)?.status ?? null).toBe(status);
  });

  test('an aggregate of other errors is not an outage', () => {
    expect(isDatabaseAway(new AggregateError([new Error('x')]))).toBe(false);
  });
});
