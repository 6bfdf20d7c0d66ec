/**
 * The program that decides which agent runs: the one installed with its runtime, or one that came by an update into slot
 * `a` or `b`. A shell script, because it must stay small in memory, never change, and work when the newest agent does not.
 *
 * An update writes the unused slot, then `trial` ("TARGET PREVIOUS"), then switches the link `current`; the new agent removes
 * `trial` once the server has answered a poll of it. Until then each start counts (`tries`) and has a time limit; after the
 * third the launcher goes back to PREVIOUS by itself and leaves word in `failed`. Every file changes by rename, so that a
 * power cut at any point leaves one agent or the other, whole.
 */

/** How often a new agent may start, and how long each start may take until the server has answered it. */
export const TRIAL_STARTS = 3;
export const TRIAL_SECONDS = 120;

/** Small heaps: the agent idles nearly always. The time an inventory takes is no matter. */
const RUNTIME_FLAGS = ['--max-semi-space-size=1', '--max-old-space-size=128', '--lite-mode', '--expose-gc'];
/** The agent's file in a slot. */
export const BUNDLE_NAME = 'ringmaster-agent.mjs';

export interface LauncherPlaces {
  readonly node: string;
  /** The agent that was installed, not updated. */
  readonly bundle: string;
  readonly slots: string;
  readonly trialSeconds?: number;
}

/** @throws Error for a path that a shell would not take as it is. */
export function launcherText(places: LauncherPlaces): string {
  for (const path of [places.node, places.bundle, places.slots])
    if (!/^[A-Za-z0-9/._@+-]+$/.test(path)) throw new Error(`"${path}" is not a plain path`);
  return `#!/bin/sh
# Starts the Ringmaster agent: the newest one that has proven itself, or one on trial. Made by agent/self/launcher.ts.
node='${places.node}'
installed='${places.bundle}'
slots='${places.slots}'
starts=${TRIAL_STARTS}
seconds=${places.trialSeconds ?? TRIAL_SECONDS}

slot=installed
if [ -L "$slots/current" ]; then
  slot=$(readlink "$slots/current")
fi
case $slot in
  a | b) program=$slots/$slot/${BUNDLE_NAME} ;;
  *) slot=installed program=$installed ;;
esac
# A slot that was emptied by hand is no reason not to start.
[ -s "$program" ] || { slot=installed program=$installed; }
export RINGMASTER_AGENT_SLOTS="$slots" RINGMASTER_AGENT_SLOT="$slot"

run="$node ${RUNTIME_FLAGS.join(' ')}"
[ "\${1:-}" = run ] && [ -e "$slots/trial" ] || exec $run "$program" "$@"

target='' previous=''
read -r target previous < "$slots/trial" || :
if [ "$target" != "$slot" ]; then
  # The update got no further than its announcement, or the way back no further than its switch.
  rm -f "$slots/tries" "$slots/trial"
  sync
  exec $run "$program" "$@"
fi

tries=0
[ -e "$slots/tries" ] && read -r tries < "$slots/tries"
case $tries in '' | *[!0-9]*) tries=$starts ;; esac
if [ "$tries" -ge "$starts" ]; then
  echo "$target did not reach the server in $starts starts of $seconds s" > "$slots/failed.new"
  sync
  mv -f "$slots/failed.new" "$slots/failed"
  case $previous in
    a | b) ln -sfn "$previous" "$slots/current.new" && mv -fT "$slots/current.new" "$slots/current" ;;
    *) rm -f "$slots/current" ;;
  esac
  sync
  exec "$0" "$@"
fi
echo $((tries + 1)) > "$slots/tries.new"
mv -f "$slots/tries.new" "$slots/tries"
sync

# On trial it is watched, not replaced by: what hangs is ended, and what ends is started again by the supervisor, which counts.
$run "$program" "$@" &
child=$!
trap 'kill -TERM $child 2>/dev/null' TERM INT HUP
(
  trap - TERM INT HUP
  left=$seconds
  while [ "$left" -gt 0 ]; do
    sleep 1
    [ -e "$slots/trial" ] || exit 0
    left=$((left - 1))
  done
  kill -KILL $child 2>/dev/null
) &
watcher=$!
# Waited for before it is looked for: a shell that has collected a quick one already still knows how it ended. A signal
# to us only interrupts the waiting.
wait $child
code=$?
while kill -0 $child 2>/dev/null; do
  wait $child
  code=$?
done
kill $watcher 2>/dev/null
exit "$code"
`;
}
