// What the agent's packages do when they come and go. None of it may fail the host's package manager: every step that could
// is allowed to, and says so by doing nothing.
const UNIT = 'ringmaster-agent.service';
const STATE = '/var/lib/ringmaster-agent';
const CONFIG = '/etc/ringmaster-agent';

/** An agent that `ringmaster-agent install` had put in /opt: the package takes its place, its identity and journal stay. */
const takeOver = `if grep -qs '^ExecStart=/opt/ringmaster-agent/' /etc/systemd/system/${UNIT}; then
    rm -f /etc/systemd/system/${UNIT}
    rm -rf /opt/ringmaster-agent
  fi`;

/** What the package manager has just installed is what runs: an update in a slot was of the time before. */
const forgetSlots = `rm -f ${STATE}/slots/current ${STATE}/slots/trial ${STATE}/slots/tries ${STATE}/slots/failed || :`;

const booted = '[ -d /run/systemd/system ]';
const reload = `${booted} && systemctl --system daemon-reload >/dev/null 2>&1 || :`;
/** Enabled, but its condition keeps it from starting before the host is enrolled. KillMode=process spares a running package manager. */
const restart = `${booted} && systemctl --no-block restart ${UNIT} >/dev/null 2>&1 || :`;
const stop = `${booted} && systemctl stop ${UNIT} >/dev/null 2>&1 || :`;

/** Debian Policy 6.5: by file name in DEBIAN/. */
export const debScripts = {
  postinst: `#!/bin/sh
set -e
case "$1" in
configure | abort-upgrade | abort-deconfigure | abort-remove)
  ${takeOver}
  ${forgetSlots}
  if [ -x /usr/bin/deb-systemd-helper ]; then
    deb-systemd-helper unmask ${UNIT} >/dev/null || :
    # Enabled once; an administrator who disabled it since is obeyed.
    if deb-systemd-helper --quiet was-enabled ${UNIT}; then
      deb-systemd-helper enable ${UNIT} >/dev/null || :
    else
      deb-systemd-helper update-state ${UNIT} >/dev/null || :
    fi
  elif [ -z "$2" ]; then
    ${booted} && systemctl enable --quiet ${UNIT} >/dev/null 2>&1 || :
  fi
  ${reload}
  ${restart}
  ;;
esac
exit 0
`,
  prerm: `#!/bin/sh
set -e
case "$1" in
remove | deconfigure)
  ${stop}
  ;;
esac
exit 0
`,
  postrm: `#!/bin/sh
set -e
case "$1" in
remove)
  ${reload}
  if [ -x /usr/bin/deb-systemd-helper ]; then deb-systemd-helper mask ${UNIT} >/dev/null || :; fi
  ;;
purge)
  # Identity and journal with it: if it comes back, the host is enrolled anew.
  rm -rf ${STATE} ${CONFIG}
  if [ -x /usr/bin/deb-systemd-helper ]; then
    deb-systemd-helper purge ${UNIT} >/dev/null || :
    deb-systemd-helper unmask ${UNIT} >/dev/null || :
  fi
  rm -f /etc/systemd/system/multi-user.target.wants/${UNIT}
  ${reload}
  ;;
esac
exit 0
`,
};

/** By section of the spec file. `$1` counts the versions that stay: 0 when the last one goes. */
export const rpmScripts = {
  post: `${takeOver}
${forgetSlots}
if [ "$1" -eq 1 ]; then ${booted} && systemctl enable --quiet ${UNIT} >/dev/null 2>&1 || :; fi
${reload}
${restart}
exit 0`,
  preun: `if [ "$1" -eq 0 ]; then
  ${stop}
  ${booted} && systemctl disable --quiet ${UNIT} >/dev/null 2>&1 || :
fi
exit 0`,
  // rpm knows no purge; what only the agent wrote stays, as with every package of theirs.
  postun: `${reload}
exit 0`,
};
