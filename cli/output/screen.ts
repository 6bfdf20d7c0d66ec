/** Where a command writes: tables and sentences for people, JSON for programs. */
import { jsonLine } from './plain.js';
import { renderTable, type TableOptions } from './table.js';
import { type Zone, zoneOf } from './times.js';

export interface OutputOptions {
  readonly json?: boolean;
  readonly utc?: boolean;
}

export interface Screen {
  readonly json: boolean;
  readonly zone: Zone;
  /** Columns; null: as wide as it gets, for pipes and files. */
  readonly width: number | null;
  readonly colour: boolean;
  /** Asking makes sense: somebody sits at both ends. */
  readonly interactive: boolean;
  line(text?: string): void;
  /** To stderr: remarks that are no result. */
  note(text: string): void;
  value(value: unknown): void;
  table(options: Omit<TableOptions, 'width' | 'colour'>): void;
}

export function openScreen(options: OutputOptions): Screen {
  const { stdout, stdin, stderr } = process;
  const tty = stdout.isTTY === true;
  const width = tty ? Math.max(20, stdout.columns ?? 80) : null;
  const colour = tty && (process.env.NO_COLOR ?? '') === '' && process.env.TERM !== 'dumb';
  const line = (text = '') => void stdout.write(`${text}\n`);
  return {
    json: options.json === true,
    zone: zoneOf(options),
    width,
    colour,
    interactive: stdin.isTTY === true && stderr.isTTY === true,
    line,
    note: (text) => void stderr.write(`${text}\n`),
    value: (value) => void stdout.write(jsonLine(value)),
    table: (table) => {
      for (const row of renderTable({ ...table, width, colour })) line(row);
    },
  };
}
