/** A promise that a test keeps open until it says otherwise, and the word for that. */
export function untilTold(): readonly [promise: Promise<void>, tell: () => void] {
  let tell: () => void = () => undefined;
  const promise = new Promise<void>((resolve) => {
    tell = resolve;
  });
  return [promise, tell];
}
