// What a check tests is told apart by its whole OVAL, wherever in it something differs; how it is numbered and described is not.
import { describe, expect, test } from '@jest/globals';
import { createDataStreamReader } from './read-data-stream.js';

const OVAL = `<definitions>
  <definition id="oval:x:def:1" class="compliance" version="1"><metadata><title>t</title></metadata>
    <criteria><criterion test_ref="oval:x:tst:1" comment="c"/><extend_definition definition_ref="oval:x:def:2"/></criteria></definition>
  <definition id="oval:x:def:2" class="inventory" version="1"><criteria><criterion test_ref="oval:x:tst:2"/></criteria></definition>
</definitions>
<tests>
  <ind:variable_test id="oval:x:tst:1" check="all"><ind:object object_ref="oval:x:obj:1"/><ind:state state_ref="oval:x:ste:1"/></ind:variable_test>
  <ind:variable_test id="oval:x:tst:2" check="all"><ind:object object_ref="oval:x:obj:2"/></ind:variable_test>
</tests>
<objects>
  <ind:variable_object id="oval:x:obj:1"><ind:var_ref>oval:x:var:1</ind:var_ref></ind:variable_object>
  <ind:variable_object id="oval:x:obj:2"><ind:path>/etc/a</ind:path></ind:variable_object>
</objects>
<states><ind:variable_state id="oval:x:ste:1"><ind:value operation="equals">a b</ind:value></ind:variable_state></states>
<variables><constant_variable id="oval:x:var:1" datatype="string"><value>deep</value></constant_variable></variables>`;
const stream = (oval: string, check = 'oval:x:def:1', exported = '') => `<?xml version="1.0"?>
<ds:data-stream-collection xmlns:ds="http://scap.nist.gov/schema/scap/source/1.2">
<Benchmark xmlns="http://checklists.nist.gov/xccdf/1.2" id="xccdf_x_benchmark_b"><Value id="xccdf_x_value_v" type="string"><value>1</value></Value>
<Rule id="xccdf_x_rule_r"><check system="http://oval.mitre.org/XMLSchema/oval-definitions-5">${exported}<check-content-ref href="o" name="${check}"/></check></Rule></Benchmark>
<oval_definitions xmlns="http://oval.mitre.org/XMLSchema/oval-definitions-5" xmlns:ind="http://oval.mitre.org/XMLSchema/oval-definitions-5#independent">${oval}</oval_definitions>
</ds:data-stream-collection>`;
/** @param sizes of the pieces it arrives in */
function checkOf(text: string, size = 1 << 20): string | null | undefined {
  const reader = createDataStreamReader();
  const bytes = Buffer.from(text, 'utf8');
  for (let at = 0; at < bytes.length; at += size) reader.write(bytes.subarray(at, at + size));
  return reader.end().rules[0]?.check;
}
const same = checkOf(stream(OVAL));

describe('differs where', () => {
  test.each<[string, string, string]>([
    ['a definition asks for something else', 'class="inventory"', 'class="compliance"'],
    ['a test', 'oval:x:tst:2" check="all"', 'oval:x:tst:2" check="none satisfy"'],
    ['an object', '/etc/a', '/etc/b'],
    ['a state', 'a b', 'a c'],
    ['a blank in what is compared', '>a b<', '> a b<'],
    ['an operation', 'operation="equals"', 'operation="not equal"'],
    ['a variable that an object names', 'deep', 'deeper'],
    ['what is named is not there', 'oval:x:ste:1"/>', 'oval:x:ste:9"/>'],
    ['a test is no more asked for', '<extend_definition definition_ref="oval:x:def:2"/>', ''],
  ])('%s differs', (_, was, is) => {
    expect(OVAL).toContain(was);
    expect(checkOf(stream(OVAL.replace(was, is)))).not.toBe(same);
  });
  test('its check is given another value', () => {
    const exported = (name: string) => `<check-export value-id="xccdf_x_value_v" export-name="${name}"/>`;
    const [one, two] = ['oval:x:var:1', 'oval:x:var:2'].map((name) =>
      checkOf(stream(OVAL, 'oval:x:def:1', exported(name))),
    );
    expect(new Set([same, one, two]).size).toBe(3);
  });
});

describe('is the same where', () => {
  test.each<[string, string]>([
    [
      'it is numbered anew',
      OVAL.replaceAll(
        /oval:x:(\w+):(\d)/g,
        (_, kind, n) => `oval:x:${kind}:${n === '1' && kind === 'def' ? 1 : 70 + Number(n)}`,
      ),
    ],
    ['it has another version', OVAL.replaceAll('version="1"', 'version="9"')],
    [
      'it is described otherwise',
      OVAL.replace('<title>t</title>', '<title>u</title><description>d</description>').replace('comment="c"', ''),
    ],
    ['it is laid out otherwise', OVAL.replaceAll('\n', '\n\n   ')],
    ['something else is added', OVAL.replace('</objects>', '<ind:variable_object id="oval:x:obj:8"/></objects>')],
  ])('%s', (_, oval) => {
    expect(checkOf(stream(oval))).toBe(same);
  });
  test('it arrives in pieces', () => {
    expect(checkOf(stream(OVAL), 7)).toBe(same);
  });
});

test('what nothing tests has none; what goes in a circle, or on and on, has one all the same', () => {
  expect(same).toMatch(/^[0-9a-f]{64}$/);
  expect(checkOf(stream(OVAL, 'oval:x:def:9'))).toBeNull();
  const def = (n: number, next: number) =>
    `<definition id="oval:x:def:${n}"><criteria><extend_definition definition_ref="oval:x:def:${next}"/></criteria></definition>`;
  expect(checkOf(stream(`<definitions>${def(1, 2)}${def(2, 1)}</definitions>`))).toMatch(/^[0-9a-f]{64}$/);
  const long = Array.from({ length: 20_000 }, (_, n) => def(n + 1, n + 2)).join('');
  expect(checkOf(stream(`<definitions>${long}</definitions>`))).toMatch(/^[0-9a-f]{64}$/);
});
