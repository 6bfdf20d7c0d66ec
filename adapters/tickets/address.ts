/** Where a tracker may be: credentials and evidence go there, so the way must be private. */
import { z } from 'zod';

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;

/** An https address; http only on this very machine, or where somebody says that the network is theirs. */
export const trackerAddress = z
  .url({ protocol: /^https?$/ })
  .max(1_000)
  .refine((text) => {
    const url = new URL(text);
    return url.username === '' && url.password === '' && url.hash === '';
  }, 'must not hold a user, a password or a fragment');

export const addressMembers = {
  url: trackerAddress,
  /** Lets an address begin http:// although it is not of this machine. */
  plainHttp: z.boolean().default(false),
  /** What is not answered by then counts as lost, and is looked for before it is asked again. */
  timeoutSeconds: z.number().int().min(1).max(300).default(60),
};

export const isPrivateWay = (settings: { readonly url: string; readonly plainHttp: boolean }): boolean => {
  const url = new URL(settings.url);
  return url.protocol === 'https:' || settings.plainHttp || LOOPBACK.test(url.hostname);
};

export const NOT_PRIVATE = {
  message: 'must begin https:// (or set plainHttp, where the network between is yours)',
  path: ['url'],
};
