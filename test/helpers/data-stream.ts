/** A small SCAP data stream that real OpenSCAP reads: each rule passes when a line is in a file. */

export interface TestRule {
  /** What comes after `_rule_`. */
  readonly name: string;
  readonly file: string;
  /** Regular expression of a whole line. */
  readonly line: string;
  /** Shell script; `{{limit}}` is the value of the benchmark. Null: no fix. */
  readonly fix: string | null;
  readonly reboot?: boolean;
  readonly severity?: 'low' | 'medium' | 'high';
  /** CPE of the platform; default: applies everywhere. */
  readonly platform?: string;
}

export const testRuleId = (name: string) => `xccdf_org.example_rule_${name}`;
export const TEST_PROFILE = 'xccdf_org.example_profile_all';
/** An assignment of baseline `house` to every endpoint; nobody here has waited for a trial. */
export const testAssignment = (over: object = {}) => ({
  baseline: 'house',
  profile: TEST_PROFILE,
  appliesTo: { all: true },
  precedence: 1,
  mode: 'propose',
  override: { reason: 'a test without a trial' },
  ...over,
});
export const TEST_VALUE = 'xccdf_org.example_value_limit';

const escapeXml = (text: string) => text.replace(/[&<>"]/g, (char) => `&#${char.charCodeAt(0)};`);

export function testDataStream(args: {
  readonly rules: readonly TestRule[];
  readonly version?: string;
  /** Put before the root element. */
  readonly prolog?: string;
  /** Put into the profile. */
  readonly inProfile?: string;
  /** Of every OVAL item; what is tested stays. */
  readonly ovalVersion?: number;
}): string {
  const { rules } = args;
  const ruleXml = (rule: TestRule) => `
    <Rule id="${testRuleId(rule.name)}" selected="false" severity="${rule.severity ?? 'medium'}">
      <title>${escapeXml(`${rule.file} has the line ${rule.line}`)}</title>
      <description>Made for tests.</description>
      <rationale>It has to pass.</rationale>
      ${rule.platform === undefined ? '' : `<platform idref="${rule.platform}"/>`}
      ${
        rule.fix === null
          ? ''
          : `<fix system="urn:xccdf:fix:script:sh" id="${rule.name}"${rule.reboot === true ? ' reboot="true"' : ''}>${escapeXml(
              rule.fix,
            ).replaceAll('{{limit}}', `<sub idref="${TEST_VALUE}" use="legacy"/>`)}</fix>`
      }
      <check system="http://oval.mitre.org/XMLSchema/oval-definitions-5">
        <check-content-ref href="test-oval.xml" name="oval:org.example:def:${numberOf(rule)}"/>
      </check>
    </Rule>`;
  const numberOf = (rule: TestRule) => rules.indexOf(rule) + 1;
  const each = (make: (rule: TestRule, n: number) => string) =>
    rules.map((rule) => make(rule, numberOf(rule))).join('\n');
  return `<?xml version="1.0" encoding="UTF-8"?>
${args.prolog ?? ''}<ds:data-stream-collection xmlns:ds="http://scap.nist.gov/schema/scap/source/1.2" xmlns:xlink="http://www.w3.org/1999/xlink"
  xmlns:cat="urn:oasis:names:tc:entity:xmlns:xml:catalog" id="scap_org.example_collection_test" schematron-version="1.2">
<ds:data-stream id="scap_org.example_datastream_test" scap-version="1.2" use-case="OTHER">
  <ds:checklists>
    <ds:component-ref id="scap_org.example_cref_test-xccdf.xml" xlink:href="#scap_org.example_comp_test-xccdf.xml">
      <cat:catalog><cat:uri name="test-oval.xml" uri="#scap_org.example_cref_test-oval.xml"/></cat:catalog>
    </ds:component-ref>
  </ds:checklists>
  <ds:checks><ds:component-ref id="scap_org.example_cref_test-oval.xml" xlink:href="#scap_org.example_comp_test-oval.xml"/></ds:checks>
</ds:data-stream>
<ds:component id="scap_org.example_comp_test-xccdf.xml" timestamp="2026-01-01T00:00:00">
  <Benchmark xmlns="http://checklists.nist.gov/xccdf/1.2" id="xccdf_org.example_benchmark_test" resolved="true" xml:lang="en">
    <status date="2026-01-01">accepted</status>
    <title>A baseline for tests</title>
    <description>Small.</description>
    <version>${args.version ?? '1.0'}</version>
    <Profile id="${TEST_PROFILE}">
      <title>Everything</title>
      ${each((rule) => `<select idref="${testRuleId(rule.name)}" selected="true"/>`)}
      <refine-value idref="${TEST_VALUE}" selector="strict"/>
      ${args.inProfile ?? ''}
    </Profile>
    <Value id="${TEST_VALUE}" type="number">
      <title>A limit</title>
      <value>600</value>
      <value selector="strict">300</value>
    </Value>
    <Group id="xccdf_org.example_group_all"><title>All</title><description>All.</description>${each(ruleXml)}
    </Group>
  </Benchmark>
</ds:component>
<ds:component id="scap_org.example_comp_test-oval.xml" timestamp="2026-01-01T00:00:00">
  <oval_definitions xmlns="http://oval.mitre.org/XMLSchema/oval-definitions-5" xmlns:oval="http://oval.mitre.org/XMLSchema/oval-common-5"
    xmlns:ind="http://oval.mitre.org/XMLSchema/oval-definitions-5#independent">
    <generator><oval:schema_version>5.11</oval:schema_version><oval:timestamp>2026-01-01T00:00:00</oval:timestamp></generator>
    <definitions>${each(
      (rule, n) => `
      <definition id="oval:org.example:def:${n}" class="compliance" version="1">
        <metadata><title>${rule.name}</title><description>${rule.name}</description></metadata>
        <criteria><criterion test_ref="oval:org.example:tst:${n}" comment="the line is there"/></criteria>
      </definition>`,
    )}
    </definitions>
    <tests>${each(
      (_, n) => `
      <ind:textfilecontent54_test id="oval:org.example:tst:${n}" version="${args.ovalVersion ?? 1}" check="all" check_existence="at_least_one_exists" comment="the line">
        <ind:object object_ref="oval:org.example:obj:${n}"/>
      </ind:textfilecontent54_test>`,
    )}
    </tests>
    <objects>${each(
      (rule, n) => `
      <ind:textfilecontent54_object id="oval:org.example:obj:${n}" version="${args.ovalVersion ?? 1}">
        <ind:filepath>${escapeXml(rule.file)}</ind:filepath>
        <ind:pattern operation="pattern match">^${escapeXml(rule.line)}$</ind:pattern>
        <ind:instance datatype="int">1</ind:instance>
      </ind:textfilecontent54_object>`,
    )}
    </objects>
  </oval_definitions>
</ds:component>
</ds:data-stream-collection>
`;
}
