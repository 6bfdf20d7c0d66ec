/**
 * Extended attributes, POSIX ACLs among them (`system.posix_acl_*`). Node has no call for them and the tools (`attr`, `acl`) are seldom
 * installed, but every Debian has perl, which can call the kernel. A fixed program; paths and values go in on standard input, never
 * through a shell, and links are never followed.
 */
import { constants } from 'node:fs';
import type { Run } from './run.js';

/** Value in hex by name. */
export type Attributes = Readonly<Record<string, string>>;

export interface AttributeAccess {
  /** Of those paths that carry any. Null: this host has nothing to look with. @throws Error when a path can't be looked at */
  read(paths: readonly string[]): Promise<Readonly<Record<string, Attributes>> | null>;
  /** Makes these exactly the attributes of each path: others are taken away. @returns what could not be done, for people */
  write(wanted: ReadonlyMap<string, Attributes>): Promise<readonly string[]>;
}

/** Numbers of the kernel's calls where agents run (asm/unistd.h). */
const CALLS: Readonly<
  Record<string, Readonly<Record<'llist' | 'lget' | 'lset' | 'lremove' | 'fset' | 'fremove', number>>>
> = {
  x64: { llist: 195, lget: 192, lset: 189, lremove: 198, fset: 190, fremove: 199 },
  arm64: { llist: 12, lget: 9, lset: 6, lremove: 15, fset: 7, fremove: 16 },
};
/** Opened to be looked at only: no link is followed, no pipe waited for. */
const OPEN_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const PROGRAM = '/usr/bin/perl';
const TIMEOUT_MS = 5 * 60_000;
/** 65536: the kernel's own limit of a list of names and of a value (xattr(7)). Errors: 2 ENOENT, 13 EACCES, 61 ENODATA, 95 EOPNOTSUPP. */
const READ = `
my ($list, $get) = map { $_ + 0 } @ARGV;
$/ = "\\0"; binmode STDIN; binmode STDOUT;
my $names = "\\0" x 65536; my $value = "\\0" x 65536;
while (my $path = <STDIN>) {
  chomp $path;
  my $length = syscall($list, $path, $names, 65536);
  if ($length < 0) { my $why = $! + 0; next if $why == 2 || $why == 13 || $why == 95; print "$path\\0\\0$why\\0"; next; }
  next if $length == 0;
  for my $name (split /\\0/, substr($names, 0, $length)) {
    my $size = syscall($get, $path, $name, $value, 65536);
    if ($size < 0) { my $why = $! + 0; next if $why == 61; print "$path\\0\\0$why\\0"; next; }
    print $path, "\\0", $name, "\\0", unpack('H*', substr($value, 0, $size)), "\\0";
  }
}`;
/** Through a file that is open and still where its path says (a user may move what is in his home); a link has no such way (40: ELOOP). */
const WRITE = `
my ($lset, $lremove, $fset, $fremove, $flags) = map { $_ + 0 } @ARGV;
$/ = "\\0"; binmode STDIN; binmode STDOUT;
while (my $path = <STDIN>) {
  my $name = <STDIN>; my $hex = <STDIN>;
  chomp $path; chomp $name; chomp $hex;
  my $why = '';
  if (sysopen(my $file, $path, $flags)) {
    my $number = fileno($file);
    if (readlink("/proc/self/fd/$number") ne $path) { $why = 'is not where it was'; }
    elsif ($hex eq '-') { $why = "$!" if syscall($fremove, $number, $name) < 0; }
    else { my $value = pack('H*', $hex); my $size = length $value; $why = "$!" if syscall($fset, $number, $name, $value, $size, 0) < 0; }
    close $file;
  } elsif ($! + 0 != 40) { $why = "$!"; }
  elsif ($hex eq '-') { $why = "$!" if syscall($lremove, $path, $name) < 0; }
  else { my $value = pack('H*', $hex); my $size = length $value; $why = "$!" if syscall($lset, $path, $name, $value, $size, 0) < 0; }
  print "$path\\0$name\\0$why\\0" if $why ne '';
}`;

/** What we can put back as root. Anything else (`security.evm`, `system.nfs4_acl` …) is not ours to make. */
export const canPutBack = (name: string): boolean =>
  /^(?:user\.|trusted\.|security\.(?:capability|selinux)$|system\.posix_acl_(?:access|default)$)/.test(name);

export function attributeAccess(run: Run, arch: string = process.arch): AttributeAccess {
  const calls = CALLS[arch];
  const perl = async (script: string, numbers: readonly unknown[], stdin: string): Promise<string[][] | null> => {
    const argv = [PROGRAM, '-e', script, ...numbers.map(String)];
    const result = await run(argv, { timeoutMs: TIMEOUT_MS, maxOutput: 256 * 1024 * 1024, stdin });
    if (result.code === 127) return null;
    if (result.code !== 0) throw new Error(`extended attributes: ${result.stderr.trim().slice(0, 300)}`);
    const fields = result.stdout.split('\0');
    return Array.from({ length: Math.floor(fields.length / 3) }, (_, i) => fields.slice(3 * i, 3 * i + 3));
  };
  const read: AttributeAccess['read'] = async (paths) => {
    if (calls === undefined) return null;
    if (paths.length === 0) return {};
    const records = await perl(READ, [calls.llist, calls.lget], paths.map((path) => `${path}\0`).join(''));
    if (records === null) return null;
    const found: Record<string, Record<string, string>> = {};
    for (const [path = '', name = '', value = ''] of records) {
      if (name === '') throw new Error(`the extended attributes of ${path} can not be read (error ${value})`);
      found[path] = { ...found[path], [name]: value };
    }
    return found;
  };
  return {
    read,
    async write(wanted) {
      const now = await read([...wanted.keys()]);
      if (now === null || calls === undefined) return ['extended attributes and ACLs can not be set on this host'];
      const steps = [...wanted].flatMap(([path, attributes]) => {
        const has = now[path] ?? {};
        const gone = Object.keys(has).filter((name) => attributes[name] === undefined && canPutBack(name));
        const other = Object.entries(attributes).filter(([name, value]) => has[name] !== value);
        return [...gone.map((name) => [path, name, '-']), ...other.map(([name, value]) => [path, name, value])];
      });
      if (steps.length === 0) return [];
      const failed = await perl(
        WRITE,
        [calls.lset, calls.lremove, calls.fset, calls.fremove, OPEN_FLAGS],
        `${steps.map((step) => step.join('\0')).join('\0')}\0`,
      );
      return (failed ?? []).map(([path, name, why]) => `${name} of ${path}: ${why}`);
    },
  };
}
