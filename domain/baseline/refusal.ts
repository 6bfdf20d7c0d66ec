/** Something that was given to us and is not taken, with the place and the reason. */
export class BaselineRefused extends Error {
  override readonly name = 'BaselineRefused';
  constructor(
    /** `line 12, column 3`, or a field's path. */
    readonly place: string,
    readonly reason: string,
  ) {
    super(`${place}: ${reason}`);
  }
}
