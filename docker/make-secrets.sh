#!/bin/sh
# Makes what is missing of ./secrets, one random value to a file; never changes what is there. Files are readable inside
# containers whatever user those run as; the folder keeps everybody else on this host out.
set -eu
cd "$(dirname "$0")/.."
umask 077
mkdir -p secrets
chmod 0700 secrets
for name in postgres_password temporal_password owner_password api_password worker_password web_secret bootstrap_token; do
  [ -s "secrets/$name" ] && continue
  value=$(head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=\n')
  [ "$name" = bootstrap_token ] && value="rmt_$value"
  printf '%s\n' "$value" > "secrets/$name.new"
  chmod 0444 "secrets/$name.new"
  mv "secrets/$name.new" "secrets/$name"
  echo "made secrets/$name"
done
echo "The first administrator's API token is in secrets/bootstrap_token."
