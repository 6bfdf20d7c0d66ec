/** Commands to a running fleet: one JSON object a line, answered by one line each (`sim/README.md` lists them). */
import { z } from 'zod';
import type { Fleet } from './fleet.js';

const behaviour = z
  .strictObject({
    applyMs: z.number().min(0),
    revertMs: z.number().min(0),
    failApply: z.boolean(),
    unhealthyAfter: z.boolean(),
    failRevert: z.boolean(),
    rebootRequired: z.boolean(),
    rebootMs: z.number().min(0),
    offline: z.boolean(),
  })
  .partial();

const id = { id: z.union([z.string(), z.number()]).optional() };
const command = z.discriminatedUnion('do', [
  z.strictObject({ ...id, do: z.literal('status') }),
  z.strictObject({ ...id, do: z.literal('names') }),
  /** Without `endpoints`: everybody. */
  z.strictObject({ ...id, do: z.literal('behave'), endpoints: z.array(z.string()).optional(), behaviour }),
  z.strictObject({
    ...id,
    do: z.literal('offer'),
    packages: z.array(z.strictObject({ name: z.string(), version: z.string() })),
  }),
  z.strictObject({ ...id, do: z.literal('reconnect') }),
  z.strictObject({ ...id, do: z.literal('change'), changeId: z.string() }),
  z.strictObject({ ...id, do: z.literal('stop') }),
]);

/** @returns the line to answer with; never throws. */
export function answer(fleet: Fleet, line: string, stop: () => void): string {
  let asked: z.infer<typeof command> | undefined;
  try {
    const parsed = command.safeParse(JSON.parse(line));
    if (!parsed.success)
      throw new Error(parsed.error.issues.map((i) => `${i.path.join('.')}: ${i.message}`).join('; '));
    asked = parsed.data;
    return JSON.stringify({
      ...(asked.id === undefined ? {} : { id: asked.id }),
      ok: true,
      ...obey(fleet, asked, stop),
    });
  } catch (error) {
    return JSON.stringify({
      ...(asked?.id === undefined ? {} : { id: asked.id }),
      ok: false,
      error: (error as Error).message,
    });
  }
}

function obey(fleet: Fleet, asked: z.infer<typeof command>, stop: () => void): object {
  switch (asked.do) {
    case 'status':
      return { stats: fleet.stats };
    case 'names':
      return { names: fleet.names };
    case 'behave': {
      const change = Object.fromEntries(Object.entries(asked.behaviour).filter(([, value]) => value !== undefined));
      return { endpoints: fleet.behave(asked.endpoints ?? null, change) };
    }
    case 'offer':
      fleet.offer(asked.packages);
      return {};
    case 'reconnect':
      fleet.reconnect();
      return {};
    case 'change':
      return { orders: fleet.changes.get(asked.changeId) ?? null };
    case 'stop':
      stop();
      return {};
  }
}
