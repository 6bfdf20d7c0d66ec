/** Waits for something that is away: says so once, tries again with pauses, and gives up only when told to stop. */
export async function untilItWorks<T>(args: {
  readonly what: string;
  readonly work: () => Promise<T>;
  readonly log: { warn(fields: object, message: string): void; info(fields: object, message: string): void };
  readonly signal: AbortSignal;
}): Promise<T> {
  for (let pause = 250; ; pause = Math.min(5_000, pause * 2)) {
    args.signal.throwIfAborted();
    try {
      const result = await args.work();
      if (pause > 250) args.log.info({}, `${args.what} is there`);
      return result;
    } catch (error) {
      args.log.warn(
        { reason: error instanceof Error ? error.message : String(error) },
        `${args.what} is not ready yet; trying again`,
      );
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, pause);
        const stop = () => {
          clearTimeout(timer);
          resolve();
        };
        args.signal.addEventListener('abort', stop, { once: true });
      });
    }
  }
}
