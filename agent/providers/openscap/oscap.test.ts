// What the scanner's answer is worth, whatever its exit status says.
import { expect, test } from '@jest/globals';
import type { RunResult } from '../../system/run.js';
import { evaluate, parseProgress } from './oscap.js';

const ID = 'xccdf_org.example_rule_one';
const asked = { dataStream: '/ds', tailoring: null, profile: 'p', rules: [ID], arf: null };
const ended = (over: Partial<RunResult>): RunResult => ({ code: 0, stdout: '', stderr: '', timedOut: false, ...over });
const evaluated = async (...results: readonly RunResult[]) => {
  const commands: (readonly string[])[] = [];
  const answer = await evaluate(async (argv) => {
    commands.push(argv);
    return results[Math.min(commands.length, results.length) - 1] as RunResult;
  }, asked);
  return { answer, commands };
};

test('reads result lines and nothing else', () => {
  const text = `WARNING: ${ID}:pass\n${ID}:fail\nxccdf_org.example_rule_two:perhaps\nxccdf_org.example_rule_three:pass \n:pass\n`;
  expect(parseProgress(text)).toEqual({ [ID]: 'fail', 'xccdf_org.example_rule_three': 'pass' });
});

test.each([0, 2])('exit status %i is an answer', async (code) => {
  const { answer, commands } = await evaluated(ended({ code, stdout: `${ID}:pass\n` }));
  expect(answer).toEqual({ ok: true, results: { [ID]: 'pass' } });
  expect(commands[0]).toEqual(['/usr/bin/oscap', 'xccdf', 'eval', '--progress', '--profile', 'p', '--rule', ID, '/ds']);
});

test('a rule without a result is no answer, nor is another exit status', async () => {
  expect((await evaluated(ended({ stdout: 'xccdf_org.example_rule_two:pass\n' }))).answer).toEqual({
    ok: false,
    reason: `the scanner gave no result for ${ID}`,
  });
  const refused = await evaluated(ended({ code: 1, stdout: `${ID}:pass\n`, stderr: 'No profile matching' }));
  expect(refused.answer).toEqual({ ok: false, reason: 'the scanner ended with 1: No profile matching' });
});

test('killed, it is started again, but not for ever', async () => {
  const killed = ended({ code: 137, stdout: `${ID}:pass\n` });
  const again = await evaluated(killed, ended({ code: 2, stdout: `${ID}:fail\n` }));
  expect([again.answer, again.commands.length]).toEqual([{ ok: true, results: { [ID]: 'fail' } }, 2]);
  const never = await evaluated(killed);
  expect([never.answer, never.commands.length]).toEqual([{ ok: false, reason: 'the scanner was killed 3 times' }, 3]);
});
