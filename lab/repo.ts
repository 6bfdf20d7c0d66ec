// The lab's own apt repository: signed with a key made for this lab, served by the relay as /lab.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';

import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import * as openpgp from 'openpgp';
import { buildDeb, type DebSpec } from './deb.js';
import { withLock } from './lock.js';
import { repositoryHost } from './sources.js';

/** Suite, code name and only component of the repository. */
export const labSuite = 'lab';
export const labComponent = 'main';
export const repoKeyringInHost = '/etc/apt/keyrings/lab.asc';
/** What hosts have in their sources. */
export const repoSourceLine = `deb [signed-by=${repoKeyringInHost}] http://${repositoryHost}/lab ${labSuite} ${labComponent}\n`;

export type PublishedDeb = { name: string; version: string; sha256: string; size: number; file: string };
type Entry = PublishedDeb & { control: string };
/** A package's file with its control fields, as an index lists them. */
export type BuiltDeb = { name: string; version: string; architecture: string; control: string; bytes: Buffer };

/** A repository in a folder: `public/` is what is served, the rest its maker's. */
export class LabRepository {
  /** Folder to serve as `/lab`. */
  readonly publicDir: string;
  private readonly index: string;
  private readonly keyFile: string;

  constructor(
    private readonly dir: string,
    private readonly architecture: string,
  ) {
    this.publicDir = join(dir, 'public');
    this.index = join(dir, 'index.json');
    this.keyFile = join(dir, 'private.asc');
  }

  /** Makes the signing key and an empty, signed index. */
  async create(): Promise<void> {
    mkdirSync(join(this.publicDir, 'pool'), { recursive: true });
    const { privateKey, publicKey } = await openpgp.generateKey({
      type: 'ecc',
      curve: 'ed25519Legacy', // the form gpgv of Debian 12 reads
      userIDs: [{ name: 'Ringmaster Lab', email: 'lab@example.invalid' }],
      date: new Date(Date.now() - 60_000), // never from the future, as seen by hosts
      format: 'armored',
    });
    writeFileSync(this.keyFile, privateKey, { mode: 0o600 });
    writeFileSync(join(this.publicDir, 'key.asc'), publicKey);
    await this.sign([]);
  }

  /** The armoured public key that the repository's InRelease verifies with. */
  get publicKey(): string {
    return readFileSync(join(this.publicDir, 'key.asc'), 'utf8');
  }

  /**
   * Builds packages and adds them to what is there (the same name and version is replaced), then signs anew. Hosts see
   * them at their next `apt-get update`.
   */
  async publish(specs: readonly DebSpec[]): Promise<PublishedDeb[]> {
    const built: BuiltDeb[] = [];
    for (const spec of specs) {
      const { file, control } = await buildDeb(spec, join(this.publicDir, 'pool'));
      built.push({ name: spec.name, version: spec.version, architecture: 'all', control, bytes: readFileSync(file) });
    }
    return this.add(built);
  }

  /** The same for packages built elsewhere. */
  add(debs: readonly BuiltDeb[]): Promise<PublishedDeb[]> {
    return this.change(async (entries) => {
      const added = debs.map(({ name, version, architecture, control, bytes }): Entry => {
        const file = `pool/${name}_${version.replace(/^\d+:/, '')}_${architecture}.deb`;
        write(join(this.publicDir, file), bytes);
        return { name, version, sha256: sha256(bytes), size: bytes.length, file, control };
      });
      const same = (a: Entry, b: Entry) => a.name === b.name && a.version === b.version;
      return { entries: [...entries.filter((e) => !added.some((a) => same(a, e))), ...added], result: added };
    });
  }

  /** Takes versions out of the index and the pool, as archives do with what they supersede. */
  withdraw(name: string, version: string): Promise<void> {
    return this.change(async (entries) => {
      const gone = entries.filter((e) => e.name === name && e.version === version);
      for (const entry of gone) rmSync(join(this.publicDir, entry.file), { force: true });
      return { entries: entries.filter((e) => !gone.includes(e)), result: undefined };
    });
  }

  /** Changes a package's bytes behind the index's back. @throws Error when it is not published. */
  tamper(name: string, version: string): void {
    const entry = this.list().find((e) => e.name === name && e.version === version);
    if (entry === undefined) throw new Error(`${name} ${version} is not published`);
    const file = join(this.publicDir, entry.file);
    const bytes = readFileSync(file);
    bytes[bytes.length - 1] = (bytes[bytes.length - 1] ?? 0) ^ 1;
    writeFileSync(file, bytes);
  }

  /** Everything published now. */
  list(): PublishedDeb[] {
    return this.entries().map(({ name, version, sha256, size, file }) => ({ name, version, sha256, size, file }));
  }

  private entries(): Entry[] {
    return existsSync(this.index) ? (JSON.parse(readFileSync(this.index, 'utf8')) as Entry[]) : [];
  }

  private change<T>(work: (entries: Entry[]) => Promise<{ entries: Entry[]; result: T }>): Promise<T> {
    return withLock(join(this.dir, 'lock'), async () => {
      const { entries, result } = await work(this.entries());
      await this.sign(entries);
      return result;
    });
  }

  /**
   * Writes index and InRelease. Indexes are also there by hash, so a host that reads while we write gets a consistent
   * pair of whichever InRelease it saw.
   */
  private async sign(entries: readonly Entry[]): Promise<void> {
    const packages = entries
      .map((e) => `${e.control}\nFilename: ${e.file}\nSize: ${e.size}\nSHA256: ${e.sha256}\n`)
      .join('\n');
    const folder = `${labComponent}/binary-${this.architecture}`;
    const files = new Map([
      [`${folder}/Packages`, Buffer.from(packages)],
      [`${folder}/Packages.gz`, gzipSync(packages)],
    ]);
    const suite = join(this.publicDir, 'dists', labSuite);
    const lines = [
      'Origin: Ringmaster Lab',
      'Label: Ringmaster Lab',
      `Suite: ${labSuite}`,
      `Codename: ${labSuite}`,
      `Date: ${new Date().toUTCString()}`,
      `Architectures: ${this.architecture} all`,
      `Components: ${labComponent}`,
      'No-Support-for-Architecture-all: Packages',
      'Acquire-By-Hash: yes',
      'SHA256:',
    ];
    for (const [path, bytes] of files) {
      const hash = sha256(bytes);
      write(join(suite, dirname(path), 'by-hash/SHA256', hash), bytes);
      write(join(suite, path), bytes);
      lines.push(` ${hash} ${bytes.length} ${path}`);
    }
    const release = `${lines.join('\n')}\n`;
    const signingKeys = await openpgp.readPrivateKey({ armoredKey: readFileSync(this.keyFile, 'utf8') });
    const message = await openpgp.createCleartextMessage({ text: release });
    const inRelease = await openpgp.sign({ message, signingKeys, date: new Date(Date.now() - 1000) });
    write(join(suite, 'InRelease'), inRelease);
    writeFileSync(`${this.index}.new`, JSON.stringify(entries));
    renameSync(`${this.index}.new`, this.index);
  }
}

function write(file: string, content: string | Buffer): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(`${file}.new`, content);
  renameSync(`${file}.new`, file);
}

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
