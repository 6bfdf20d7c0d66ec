/**
 * Flags of files and folders as chattr(1) sets them: immutable, append-only and the like. Whatever carries one of the first two can't even be
 * put back. Node has no call for them; as for extended attributes, a fixed perl program makes it, with paths on standard input and no link followed.
 */
import { constants } from 'node:fs';
import type { Run } from './run.js';

export interface FlagAccess {
  /** Of those files and folders that carry any of {@link KEPT_FLAGS}. Null: this host has nothing to look with. */
  read(paths: readonly string[]): Promise<Readonly<Record<string, number>> | null>;
  /** Makes these the flags of each path; 0: none. @returns what could not be done, for people */
  write(wanted: ReadonlyMap<string, number>): Promise<readonly string[]>;
}

/** Sync, immutable, append-only, no dump, no access times, synchronous folder (linux/fs.h): what people set. The others are the filesystem's own. */
export const KEPT_FLAGS = 0x08 | 0x10 | 0x20 | 0x40 | 0x80 | 0x10000;
/** FS_IOC_GETFLAGS and FS_IOC_SETFLAGS where a long has 64 bits (linux/fs.h). */
const GET = 0x80086601;
const SET = 0x40086602;
/** Opened to be looked at only: no link is followed, no pipe waited for. */
const OPEN_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const PROGRAM = '/usr/bin/perl';
const TIMEOUT_MS = 5 * 60_000;
/** What can't be opened or has no such flags (a filesystem without them) has none. */
const READ = `
my ($get, $mask, $open) = map { $_ + 0 } @ARGV;
$/ = "\\0"; binmode STDIN; binmode STDOUT;
while (my $path = <STDIN>) {
  chomp $path;
  lstat $path; next unless -f _ || -d _;
  sysopen(my $file, $path, $open) or next;
  my $flags = pack('L2', 0, 0);
  if (defined ioctl($file, $get, $flags)) { my $kept = unpack('L', $flags) & $mask; print "$path\\0$kept\\0" if $kept; }
  close $file;
}`;
const WRITE = `
my ($get, $set, $mask, $open) = map { $_ + 0 } @ARGV;
$/ = "\\0"; binmode STDIN; binmode STDOUT;
while (my $path = <STDIN>) {
  my $wanted = <STDIN>; chomp $path; chomp $wanted;
  my $why = '';
  if (!sysopen(my $file, $path, $open)) { $why = "$!"; }
  else {
    my $number = fileno($file); my $flags = pack('L2', 0, 0);
    if (readlink("/proc/self/fd/$number") ne $path) { $why = 'is not where it was'; }
    elsif (!defined ioctl($file, $get, $flags)) { $why = "$!" if $wanted; }
    else {
      my $now = unpack('L', $flags); my $then = ($now & ~$mask) | ($wanted & $mask);
      if ($then != $now) { my $new = pack('L2', $then, 0); $why = "$!" unless defined ioctl($file, $set, $new); }
    }
    close $file;
  }
  print "$path\\0$why\\0" if $why ne '';
}`;

export function flagAccess(run: Run, arch: string = process.arch): FlagAccess {
  const perl = async (script: string, numbers: readonly number[], stdin: string): Promise<string[][] | null> => {
    const argv = [PROGRAM, '-e', script, ...numbers.map(String)];
    const result = await run(argv, { timeoutMs: TIMEOUT_MS, maxOutput: 256 * 1024 * 1024, stdin });
    if (result.code === 127) return null;
    if (result.code !== 0) throw new Error(`flags of files: ${result.stderr.trim().slice(0, 300)}`);
    const fields = result.stdout.split('\0');
    return Array.from({ length: Math.floor(fields.length / 2) }, (_, i) => fields.slice(2 * i, 2 * i + 2));
  };
  const known = arch === 'x64' || arch === 'arm64';
  return {
    async read(paths) {
      if (!known) return null;
      if (paths.length === 0) return {};
      const found = await perl(READ, [GET, KEPT_FLAGS, OPEN_FLAGS], paths.map((path) => `${path}\0`).join(''));
      return found === null ? null : Object.fromEntries(found.map(([path, flags]) => [path, Number(flags)]));
    },
    async write(wanted) {
      if (wanted.size === 0) return [];
      const lines = [...wanted].map(([path, flags]) => `${path}\0${flags}\0`).join('');
      const failed = known ? await perl(WRITE, [GET, SET, KEPT_FLAGS, OPEN_FLAGS], lines) : null;
      if (failed === null) return ['flags of files (chattr) can not be set on this host'];
      return failed.map(([path, why]) => `flags of ${path}: ${why}`);
    },
  };
}
