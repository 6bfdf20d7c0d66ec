/** Tables that fit: what a narrow terminal has no room for is cut in the columns that can bear it, and marked. */
import { plain } from './plain.js';

export interface Column {
  readonly title: string;
  readonly right?: boolean;
  /** May be cut down to this many characters. Default: never. */
  readonly shrinkTo?: number;
}

export interface TableOptions {
  readonly columns: readonly Column[];
  readonly rows: readonly (readonly string[])[];
  /** Characters in a line; null: no limit. */
  readonly width: number | null;
  readonly colour: boolean;
}

const GAP = 2;

/** Lines of the table, header first. */
export function renderTable({ columns, rows, width, colour }: TableOptions): string[] {
  const cells = rows.map((row) => row.map(plain));
  const widths = columns.map((column, i) =>
    cells.reduce((widest, row) => Math.max(widest, lengthOf(row[i] ?? '')), lengthOf(column.title)),
  );
  if (width !== null) shrink(columns, widths, width);
  const layout = (row: readonly string[]): string =>
    columns
      .map((column, i) => padded(cut(row[i] ?? '', widths[i] ?? 0), widths[i] ?? 0, column.right === true))
      .join(' '.repeat(GAP))
      .trimEnd();
  const header = layout(columns.map((column) => column.title));
  return [colour ? `\u001b[1m${header}\u001b[22m` : header, ...cells.map(layout)];
}

/** Takes from the widest column that can still give, until the line fits or none can. */
function shrink(columns: readonly Column[], widths: number[], width: number): void {
  const total = () => widths.reduce((sum, one) => sum + one, 0) + GAP * (columns.length - 1);
  for (let over = total() - width; over > 0; over = total() - width) {
    let widest = -1;
    for (const [i, { shrinkTo }] of columns.entries()) {
      const own = widths[i] ?? 0;
      if (shrinkTo !== undefined && own > shrinkTo && own > (widths[widest] ?? -1)) widest = i;
    }
    if (widest < 0) return;
    widths[widest] = (widths[widest] ?? 1) - 1;
  }
}

/** Characters as a person counts them, wide ones twice. */
export function lengthOf(text: string): number {
  let length = 0;
  for (const { segment } of new Intl.Segmenter().segment(text)) length += isWide(segment) ? 2 : 1;
  return length;
}

const isWide = (segment: string): boolean =>
  /^[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]/.test(segment) ||
  /\p{Emoji_Presentation}/u.test(segment);

function cut(text: string, width: number): string {
  if (lengthOf(text) <= width) return text;
  let kept = '';
  for (const { segment } of new Intl.Segmenter().segment(text)) {
    if (lengthOf(kept + segment) > width - 1) break;
    kept += segment;
  }
  return `${kept}…`;
}

function padded(text: string, width: number, right: boolean): string {
  const space = ' '.repeat(Math.max(0, width - lengthOf(text)));
  return right ? space + text : text + space;
}
