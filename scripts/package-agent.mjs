// `npm run package-agent -- --out DIR`: the agent with its own runtime as .deb and, where rpmbuild is installed, as .rpm.
// The same sources and the same SOURCE_DATE_EPOCH (default: the last commit's time) make the same bytes.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { buildAgentBundle } from './agent-bundle.mjs';
import { debScripts, rpmScripts } from './package/scripts.mjs';
import { CONFIG_FILES, FOLDERS, writeTree } from './package/tree.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const USAGE = `usage: npm run package-agent -- --out DIR [--version X.Y.Z] [--only deb|rpm] [--fast]
  --version  in place of package.json's
  --only     one kind; default: .deb, and .rpm where rpmbuild is installed
  --fast     not compressed: for tests
`;
const ARCHITECTURES = { x64: { deb: 'amd64', rpm: 'x86_64' } };
const DESCRIPTION = `Carries out Ringmaster's signed orders on this host: installs exactly the
approved package versions inside the agreed hours, proves the result, and goes
back by itself when the host is not well afterwards. Brings its own runtime,
starts nothing before the host is enrolled (ringmaster-agent install), and
keeps to the limits its owner sets in /etc/ringmaster-agent/limits.json.`;
const MAINTAINER = 'Ringmaster <ringmaster@localhost>';

class Refused extends Error {}

function main() {
  const { values } = parseArgs({
    options: {
      out: { type: 'string' },
      version: { type: 'string' },
      only: { type: 'string' },
      fast: { type: 'boolean' },
      help: { type: 'boolean' },
    },
  });
  if (values.help) return process.stdout.write(USAGE);
  if (values.out === undefined) throw new Refused(`--out is missing\n${USAGE}`);
  const version = values.version ?? JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version;
  if (!/^\d+\.\d+\.\d+([~+.][A-Za-z0-9.]+)?$/.test(version)) throw new Refused(`"${version}" is not a version`);
  if (values.only !== undefined && !['deb', 'rpm'].includes(values.only))
    throw new Refused(`--only is deb or rpm, not "${values.only}"`);
  const arch = ARCHITECTURES[process.arch];
  if (arch === undefined)
    throw new Refused(`packages are made on ${Object.keys(ARCHITECTURES)} only, not ${process.arch}`);
  const rpmbuild = spawnSync('rpmbuild', ['--version']).status === 0;
  if (values.only === 'rpm' && !rpmbuild) throw new Refused('rpmbuild is not installed (Debian package "rpm")');
  return build({
    out: resolve(values.out),
    version,
    arch,
    fast: values.fast === true,
    kinds: [values.only ?? ['deb', ...(rpmbuild ? ['rpm'] : [])]].flat(),
    epoch: sourceDate(),
  });
}

async function build({ out, version, arch, fast, kinds, epoch }) {
  const { launcherText } = await import(join(root, 'dist/agent/self/launcher.js'));
  const { PACKAGE_DIR, SLOTS_DIR, unitText } = await import(join(root, 'dist/agent/self/unit.js'));
  const runtimePackage = join(root, `node_modules/node-linux-${process.arch}`);
  if (!existsSync(runtimePackage)) throw new Refused(`${runtimePackage} is missing; help: npm ci`);
  process.umask(0o022);
  mkdirSync(out, { recursive: true });
  const work = mkdtempSync(join(tmpdir(), 'ringmaster-package-'));
  chmodSync(work, 0o755);
  try {
    const bundle = join(work, 'ringmaster-agent.mjs');
    await buildAgentBundle({ outfile: bundle, version });
    const tree = join(work, 'tree');
    const launcher = join(PACKAGE_DIR, 'launch');
    const files = writeTree({
      root: tree,
      runtime: join(runtimePackage, 'bin/node'),
      runtimeLicense: join(runtimePackage, 'LICENSE'),
      bundle,
      version,
      date: new Date(epoch * 1_000),
      unit: unitText({ launcher }),
      launcher: launcherText({
        node: join(PACKAGE_DIR, 'node'),
        bundle: join(PACKAGE_DIR, 'ringmaster-agent.mjs'),
        slots: SLOTS_DIR,
      }),
    });
    const job = { out, version, arch, fast, epoch, work, tree, files };
    for (const kind of kinds) process.stdout.write(`${kind === 'deb' ? buildDeb(job) : buildRpm(job)}\n`);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function buildDeb({ out, version, arch, fast, epoch, work, tree, files }) {
  const control = join(tree, 'DEBIAN');
  mkdirSync(control);
  const size = Math.ceil(files.reduce((sum, file) => sum + statSync(join(tree, file)).size, 0) / 1024);
  const [summary, ...rest] = ["Ringmaster's agent", ...DESCRIPTION.split('\n').map((line) => ` ${line}`)];
  writeFileSync(
    join(control, 'control'),
    `Package: ringmaster-agent
Version: ${version}
Architecture: ${arch.deb}
Maintainer: ${MAINTAINER}
Installed-Size: ${size}
Depends: libc6 (>= 2.28), libgcc-s1, libstdc++6 (>= 9)
Recommends: ca-certificates, needrestart
Section: admin
Priority: optional
Description: ${summary}
${rest.join('\n')}
`,
  );
  writeFileSync(join(control, 'conffiles'), CONFIG_FILES.map((file) => `${file}\n`).join(''));
  const sums = files
    .filter((file) => !CONFIG_FILES.includes(file))
    .map((file) => {
      const md5 = createHash('md5')
        .update(readFileSync(join(tree, file)))
        .digest('hex');
      return `${md5}  ${file.slice(1)}\n`;
    });
  writeFileSync(join(control, 'md5sums'), sums.join(''));
  for (const [name, text] of Object.entries(debScripts)) writeFileSync(join(control, name), text, { mode: 0o755 });
  stampAll(tree, epoch);
  const name = `ringmaster-agent_${version}_${arch.deb}.deb`;
  const compression = fast ? ['-Znone'] : ['-Zxz', '-z3'];
  run('dpkg-deb', ['--root-owner-group', ...compression, '--build', tree, join(work, name)], epoch);
  rmSync(control, { recursive: true });
  return place(join(work, name), out);
}

function buildRpm({ out, version, arch, fast, epoch, work, tree, files }) {
  const listed = files.map(
    (file) => `${CONFIG_FILES.includes(file) ? '%config(noreplace) ' : ''}${attributes(tree, file)} ${file}`,
  );
  const folders = Object.entries(FOLDERS).map(([path, mode]) => `%dir %attr(${mode.toString(8)}, root, root) ${path}`);
  const sections = Object.entries(rpmScripts).map(([name, text]) => `%${name}\n${text}\n`);
  const spec = join(work, 'ringmaster-agent.spec');
  const changelogDate = new Date(epoch * 1_000).toUTCString().replace(/^(\w+), (\d+) (\w+) (\d+).*$/, '$1 $3 $2 $4');
  writeFileSync(
    spec,
    `Name: ringmaster-agent
Version: ${version.replaceAll('-', '~')}
Release: 1
Summary: Ringmaster's agent
License: Apache-2.0
Group: System Environment/Daemons
AutoReqProv: no
Requires: glibc >= 2.28
Requires: libgcc
Requires: libstdc++
Recommends: ca-certificates

%description
${DESCRIPTION}

%prep
%build
%install
mkdir -p %{buildroot}
cp -a ${tree}/. %{buildroot}/

${sections.join('\n')}
%files
${[...folders, ...listed].join('\n')}

%changelog
* ${changelogDate} ${MAINTAINER} - ${version}-1
- Release ${version}.
`,
  );
  stampAll(tree, epoch);
  const defines = {
    _topdir: join(work, 'rpm'),
    _buildhost: 'ringmaster',
    use_source_date_epoch_as_buildtime: '1',
    clamp_mtime_to_source_date_epoch: '1',
    _binary_payload: fast ? 'w0.gzdio' : 'w3.xzdio',
    // The runtime is shipped as it was released, not stripped, and carries no build ids of ours.
    __os_install_post: '%{nil}',
    _build_id_links: 'none',
    debug_package: '%{nil}',
    _rpmfilename: '%{NAME}-%{VERSION}-%{RELEASE}.%{ARCH}.rpm',
  };
  const flags = Object.entries(defines).flatMap(([name, value]) => ['--define', `${name} ${value}`]);
  run('rpmbuild', ['-bb', '--quiet', '--target', `${arch.rpm}-linux`, ...flags, spec], epoch);
  const folder = join(work, 'rpm/RPMS');
  const [name] = readdirSync(folder);
  return place(join(folder, name), out);
}

function attributes(tree, file) {
  return `%attr(${(statSync(join(tree, file)).mode & 0o777).toString(8)}, root, root)`;
}

/** Every time in the tree is the sources'. */
function stampAll(folder, epoch) {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    if (lstatSync(path).isDirectory()) stampAll(path, epoch);
    utimesSync(path, epoch, epoch);
  }
}

function place(made, out) {
  const to = join(out, made.slice(made.lastIndexOf('/') + 1));
  // Copied under another name first: who watches the folder never takes half a package.
  writeFileSync(`${to}.new`, readFileSync(made));
  renameSync(`${to}.new`, to);
  return to;
}

function run(command, args, epoch) {
  const env = { ...process.env, SOURCE_DATE_EPOCH: `${epoch}`, LC_ALL: 'C.UTF-8', TZ: 'UTC' };
  const done = spawnSync(command, args, { env, encoding: 'utf8' });
  if (done.error?.code === 'ENOENT') throw new Refused(`${command} is not installed`);
  if (done.status !== 0) throw new Refused(`${command} failed:\n${done.stdout}${done.stderr}`);
}

/** Epoch seconds. */
function sourceDate() {
  const given = process.env.SOURCE_DATE_EPOCH;
  if (given !== undefined && given !== '') {
    if (!/^\d+$/.test(given)) throw new Refused(`SOURCE_DATE_EPOCH must be a number of seconds, not "${given}"`);
    return Number(given);
  }
  const log = spawnSync('git', ['log', '-1', '--format=%ct'], { cwd: root, encoding: 'utf8' });
  return log.status === 0 && /^\d+\s*$/.test(log.stdout)
    ? Number(log.stdout)
    : Math.floor(statSync(join(root, 'package-lock.json')).mtimeMs / 1_000);
}

try {
  await main();
} catch (error) {
  process.stderr.write(error instanceof Refused ? `package-agent: ${error.message}\n` : `${error.stack}\n`);
  process.exit(1);
}
