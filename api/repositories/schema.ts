import { z } from 'zod';

const text = z.string().min(1).max(500);
/** Words of an index's path; nothing that could climb out of it. */
const word = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._+~-]*(\/[A-Za-z0-9][A-Za-z0-9._+~-]*)*$/, 'not a name of a suite or component')
  .max(200);

/** What the apt adapter is configured with: one suite and architecture per repository. */
export const aptConfig = z.strictObject({
  uri: z.url({ protocol: /^(https?|file)$/ }),
  suite: word,
  suiteAliases: z.array(text).max(10).optional(),
  components: z.array(word).min(1).max(20),
  architecture: z.string().regex(/^[a-z0-9-]{1,32}$/),
  keyring: z
    .strictObject({
      files: z.array(z.string().startsWith('/').max(500)).max(20).optional(),
      armored: z.string().max(200_000).optional(),
      fingerprints: z.array(text).max(20).optional(),
    })
    .refine(
      (keys) => (keys.files?.length ?? 0) > 0 || keys.armored !== undefined,
      'names no key: give files or armored',
    ),
  tolerateExpired: z.boolean().optional(),
  redirectHosts: z.array(text).max(20).optional(),
});

export const repositoryPut = z.strictObject({ kind: z.literal('apt'), config: aptConfig });

export const repositoryReply = z.object({
  id: z.uuid(),
  name: z.string(),
  kind: z.string(),
  config: z.record(z.string(), z.unknown()),
  lastSyncedAt: z.iso.datetime().nullable(),
  lastError: z.string().nullable(),
  /** When somebody last asked for a sync, epoch milliseconds. */
  syncRequested: z.number().int().nullable(),
  packages: z.number(),
});
