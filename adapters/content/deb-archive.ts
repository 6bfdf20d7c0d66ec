import type { FileHandle } from 'node:fs/promises';
import type { ByteSource } from './bytes.js';
import { ContentError } from './errors.js';

/** A member of a package file: where its bytes lie. */
export interface DebMember {
  readonly name: string;
  readonly offset: number;
  readonly size: number;
}

const MAGIC = '!<arch>\n';
const HEADER_BYTES = 60;
/** A package has three; a few more are allowed (names starting with `_` are to be passed over). deb(5). */
const MAX_MEMBERS = 16;
/** It says `2.0` and a line end; the rest is read into memory before any of it is believed. */
const MOST_FORMAT_BYTES = 64;

/**
 * Lists the members of a .deb, which is an `ar` archive whose first member names format 2 (deb(5), ar(5)).
 * @throws ContentError `archiveMalformed`
 */
export async function debMembers(file: FileHandle, fileSize: number): Promise<DebMember[]> {
  const broken = (why: string): ContentError => new ContentError('archiveMalformed', `package file: ${why}`);
  const read = async (offset: number, length: number): Promise<string> => {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, offset);
    if (bytesRead !== length) throw broken('ends early');
    return buffer.toString('latin1');
  };
  if (fileSize < MAGIC.length || (await read(0, MAGIC.length)) !== MAGIC) throw broken('is no ar archive');
  const members: DebMember[] = [];
  for (let at = MAGIC.length; at < fileSize; ) {
    if (members.length === MAX_MEMBERS) throw broken('has too many members');
    const header = await read(at, HEADER_BYTES);
    const sizeText = header.slice(48, 58).trim();
    if (header.slice(58) !== '`\n' || !/^[0-9]+$/.test(sizeText)) throw broken(`has no member header at byte ${at}`);
    const member = {
      name: header.slice(0, 16).trim().replace(/\/$/, ''),
      offset: at + HEADER_BYTES,
      size: Number(sizeText),
    };
    if (member.offset + member.size > fileSize) throw broken(`member ${member.name} ends after the file`);
    members.push(member);
    // Members start at even bytes.
    at = member.offset + member.size + (member.size % 2);
  }
  const [first] = members;
  if (first?.name === 'debian-binary' && first.size > MOST_FORMAT_BYTES)
    throw broken(`member debian-binary has ${first.size} bytes, and ${MOST_FORMAT_BYTES} are the most`);
  if (first?.name !== 'debian-binary' || !(await read(first.offset, first.size)).startsWith('2.')) {
    throw broken('is not of format 2');
  }
  return members;
}

/** The bytes of one member. */
export function readMember(file: FileHandle, member: DebMember): ByteSource {
  if (member.size === 0) return nothing();
  return file.createReadStream({ start: member.offset, end: member.offset + member.size - 1, autoClose: false });
}

async function* nothing(): AsyncGenerator<Uint8Array> {}
