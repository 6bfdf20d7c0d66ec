// The lab as tests use it.
export {
  type AgentInstall,
  AgentNotBuilt,
  agentBundleInHost,
  agentRuntimeInHost,
  installAgent,
  shareAgent,
} from './agent-install.js';
export { type Base, buildBase } from './base.js';
export { type DebMode, type DebSpec, debModes, defaultPort } from './deb.js';
export { HostIsOff } from './host.js';
export { type HostStatus, type Lab, type LabHost, type LabOptions, openLab, upLab } from './lab.js';
export { CommandFailed, CommandTimedOut, type RunOptions, type RunResult } from './process.js';
export { LabRepository, labComponent, labSuite, type PublishedDeb } from './repo.js';
export { LabUnavailable, labUnavailableReason } from './requirements.js';
export { scapDataStream } from './scap-content.js';
export { LabLeftovers, leftovers, teardown } from './teardown.js';
