/** For hosts without a package manager we know. Such an agent only scans, so nothing here is ever asked for. */
import type { Provider } from './provider.js';

const never = async (): Promise<never> => {
  throw new Error('this host has no package manager that the agent knows');
};

export const noProvider: Provider = {
  name: 'none',
  compareVersions: () => null,
  installed: never,
  audit: never,
  simulate: never,
  findOldFile: never,
  snapshot: never,
  run: never,
  hasBegun: never,
  repair: never,
  judge: never,
  rebootNeed: never,
  inventory: never,
};
