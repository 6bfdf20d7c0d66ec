#!/bin/sh
# The outside of one host: holds its disk mounted, runs it, and runs it again when it reboots itself.
# boot-host.sh join|run HOST_DIR LAYERS LINK CGROUP_PROCS_FILES -- SYSTEMD_NSPAWN_ARGUMENTS...
set -eu
phase=$1 dir=$2 layers=$3 link=$4 groups=$5
if [ "$phase" = join ]; then
  exec 9>"$dir/power"; flock --nonblock 9 || { echo "already on"; exit 0; }
  for file in $(echo "$groups" | tr : ' '); do echo $$ >"$file"; done
  shift
  # Mounts made here vanish with the last process of the host; "slave" lets the network namespace's removal through.
  exec unshare --mount --propagation slave sh "$0" run "$@"
fi
shift 6
mount -t overlay overlay -o "lowerdir=$layers,upperdir=$dir/upper,workdir=$dir/work" "$dir/root"
ip link set "$link" up
code=133
while [ "$code" = 133 ]; do # systemd-nspawn's word for "the system inside asked for a reboot"
  code=0; systemd-nspawn "$@" || code=$?
  echo "systemd-nspawn: exit $code"
done
ip link set "$link" down
