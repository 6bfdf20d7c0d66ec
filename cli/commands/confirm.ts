import { createInterface } from 'node:readline/promises';
import { CliError, EXIT } from '../exit-codes.js';
import type { Screen } from '../output/screen.js';

/**
 * Asks before something that can't be taken back; `yes` is the script's answer.
 * @throws CliError when nobody can be asked, or says no
 */
export async function confirmed(
  screen: Screen,
  args: { readonly question: string; readonly yes: boolean | undefined },
): Promise<void> {
  if (args.yes === true) return;
  if (!screen.interactive) throw new CliError(EXIT.refused, `${args.question} Nobody can be asked here: give --yes.`);
  const prompt = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await prompt.question(`${args.question} [y/N] `);
    if (!/^y(es)?$/i.test(answer.trim())) throw new CliError(EXIT.refused, 'nothing was done');
  } finally {
    prompt.close();
  }
}
