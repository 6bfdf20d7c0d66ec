#!/bin/bash
# Installs Debian's Request Tracker 5 with SQLite, unattended (about 70 s). Tests make their own copy of its empty database and start
# their own servers; nothing runs after this, no mail is sent, no job is scheduled. Debian, as root.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
[ "$(dpkg-query --show --showformat='${db:Status-Status}' rt5-standalone 2>/dev/null)" = installed ] && exit 0
apt-cache show rt5-standalone >/dev/null 2>&1 || apt-get -qq -o Acquire::Retries=3 update
debconf-set-selections <<'CONF'
request-tracker5 request-tracker5/rtname string rt.test
request-tracker5 request-tracker5/organization string rt.test
request-tracker5 request-tracker5/correspondaddress string rt@rt.test
request-tracker5 request-tracker5/commentaddress string rt-comment@rt.test
request-tracker5 request-tracker5/webbaseurl string http://127.0.0.1
request-tracker5 request-tracker5/webpath string
request-tracker5 request-tracker5/handle-siteconfig-permissions boolean true
request-tracker5 request-tracker5/initial-root-password password password
request-tracker5 request-tracker5/initial-root-password-confirm password password
request-tracker5 request-tracker5/install-cronjobs boolean false
request-tracker5 request-tracker5/dbconfig-install boolean true
request-tracker5 request-tracker5/database-type select sqlite3
CONF
apt-get -qq -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 install --yes --no-install-recommends rt5-standalone rt5-db-sqlite request-tracker5 >/dev/null
