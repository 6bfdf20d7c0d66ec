/** The hooks of a policy, as stored, by where they run. What can't be read is on no side: a policy is checked when it is put. */

export interface EndpointHook {
  readonly name: string;
  readonly when: 'before' | 'after';
  /** Whether the order may go on when it fails. */
  readonly onFailure: 'fail' | 'ignore';
  readonly timeoutSeconds: number;
}

export interface ServerHook extends EndpointHook {
  /** Of the program; any other is not run. It is part of the policy, and so of what approvers approve. */
  readonly sha256: string;
}

interface Stored extends EndpointHook {
  readonly runsOn?: 'endpoint' | 'server';
  readonly sha256?: string;
}

/** As an order carries them to its endpoint. */
export function endpointHooks(policy: { readonly hooks: readonly unknown[] }): readonly EndpointHook[] {
  return (policy.hooks as readonly Stored[])
    .filter((hook) => hook.runsOn !== 'server')
    .map(({ name, when, onFailure, timeoutSeconds }) => ({ name, when, onFailure, timeoutSeconds }));
}

/** In the policy's order. */
export function serverHooks(policy: { readonly hooks: readonly unknown[] }): readonly ServerHook[] {
  return (policy.hooks as readonly Stored[])
    .filter((hook) => hook.runsOn === 'server')
    .map(({ name, when, onFailure, timeoutSeconds, sha256 }) => ({
      name,
      when,
      onFailure,
      timeoutSeconds,
      sha256: sha256 ?? '',
    }));
}

/** What a hook that runs after an order is told of it; the words the endpoint's own hooks hear. */
export function outcomeForHooks(order: { readonly state: string; readonly began: boolean }): string {
  if (order.state === 'succeeded' || order.state === 'reverted') return order.state;
  return order.began ? 'failed' : 'notStarted';
}
