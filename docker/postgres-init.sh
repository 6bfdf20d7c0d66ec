#!/bin/sh
# Run once by the postgres image when the cluster is new: Temporal's role, which makes its own databases.
set -eu
psql --set=ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres \
  --set=password="$(cat /run/secrets/temporal_password)" <<'SQL'
CREATE ROLE temporal LOGIN CREATEDB NOSUPERUSER PASSWORD :'password';
SQL
