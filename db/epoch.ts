/** SQL: a timestamp as whole epoch milliseconds, for JSON. */
export const epochMs = (column: string): string => `floor(extract(epoch FROM ${column}) * 1000)`;
