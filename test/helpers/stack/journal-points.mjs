// Loaded into an agent before its program (`node --import`): stops the whole process at its own commit, the journal's write.
// Which one is in a file, read at each write, so that a test can change its mind: {"report": "apply", "when": "before"}.
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

const MAGIC = 'RMJ1';
const HEADER = 12;
const path = process.env.RINGMASTER_TEST_JOURNAL_POINT;
const real = { write: fs.writeSync, sync: fs.fsyncSync };
/** A descriptor to stop at once what was written to it is on disk. */
let stopAfterSyncOf = null;

function armed() {
  try {
    return JSON.parse(fs.readFileSync(path, 'utf8'));
  } catch {
    return null;
  }
}

/** The report that a frame of the journal keeps; null for every other write. */
function reportIn(data) {
  if (!Buffer.isBuffer(data) || data.subarray(0, MAGIC.length).toString() !== MAGIC) return null;
  const record = JSON.parse(data.subarray(HEADER).toString('utf8'));
  return record.type === 'report' ? record.report.type : null;
}

/** Nothing of this process goes on: its only thread that does anything waits for what never comes. */
function standStill() {
  fs.writeFileSync(`${path}.reached`, '');
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}

fs.writeSync = (fd, data, ...rest) => {
  const point = armed();
  if (point === null || reportIn(data) !== point.report) return real.write(fd, data, ...rest);
  const [offset, length, at] = rest;
  if (point.when === 'before') standStill();
  if (point.when === 'torn') {
    real.write(fd, data, offset, Math.floor(length / 2), at);
    standStill();
  }
  stopAfterSyncOf = fd;
  return real.write(fd, data, ...rest);
};

fs.fsyncSync = (fd) => {
  real.sync(fd);
  if (fd === stopAfterSyncOf) standStill();
};

syncBuiltinESMExports();
