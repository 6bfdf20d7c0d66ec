/** For options that may be given again (commander's argument parser): every value, in the order given. */
export const repeated = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];
