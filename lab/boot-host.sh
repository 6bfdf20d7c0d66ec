#!/bin/sh
# The outside of one host: holds its disk mounted, runs it, and runs it again when it reboots itself.
# boot-host.sh join|run HOST_DIR OVERLAY_OPTIONS LINK CGROUP_PROCS_FILES -- SYSTEMD_NSPAWN_ARGUMENTS...
set -eu
phase=$1 dir=$2 overlay=$3 link=$4 groups=$5
if [ "$phase" = join ]; then
  exec 9>"$dir/power"; flock --nonblock 9 || { echo "already on"; exit 0; }
  for file in $(echo "$groups" | tr : ' '); do echo $$ >"$file"; done
  shift
  # Mounts made here vanish with the last process of the host; "slave" lets the network namespace's removal through.
  exec unshare --mount --propagation slave sh "$0" run "$@"
fi
shift 6
rm -rf "$dir/work/work/incompat" # a volatile overlay's mark that it was not unmounted: our page cache lost nothing
mount -t overlay overlay -o "$overlay,upperdir=$dir/upper,workdir=$dir/work" "$dir/root"
# What systemd-nspawn keeps of a machine and leaves when killed goes to the host's own folder.
mkdir -p /run/systemd/nspawn "$dir/nspawn"
mount --bind "$dir/nspawn" /run/systemd/nspawn
ip link set "$link" up
code=133
while [ "$code" = 133 ]; do # systemd-nspawn's word for "the system inside asked for a reboot"
  code=0; systemd-nspawn "$@" || code=$?
  echo "systemd-nspawn: exit $code"
done
ip link set "$link" down
