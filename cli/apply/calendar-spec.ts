import { z } from 'zod';
import { parseFreezeCalendar } from '../../domain/schedule/index.js';

/** A freeze calendar's document: the iCalendar text, as a block (`icalendar: |`). */
export const calendarSpec = z.strictObject({
  icalendar: z
    .string()
    .min(1)
    .max(1_000_000)
    .superRefine((text, context) => {
      const parsed = parseFreezeCalendar(text);
      if (parsed.ok) return;
      const { line, place, reason } = parsed.problem;
      context.addIssue({ code: 'custom', message: `line ${line} of the calendar: ${place}: ${reason}` });
    }),
});
