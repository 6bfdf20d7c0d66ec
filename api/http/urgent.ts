/** Requests that must not wait behind anything routine, from their token on: stops, and whatever concerns a zero-day. */
import type { Request } from 'express';

const URGENT = /^\/v1\/(?:zero-day|stop-all|changes\/[^/]+\/(?:pause|abort))(?:\/|$)/;

export const isUrgent = (req: Pick<Request, 'path' | 'method'>): boolean =>
  req.method !== 'GET' && URGENT.test(req.path);
