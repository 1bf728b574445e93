#!/bin/sh
# PostgreSQL with a role and database for each server. What stands in the environment is set at each start, so that a
# password is changed by a restart.
set -eu
for bin in /usr/lib/postgresql/*/bin; do PATH=$PATH:$bin; done
data=/var/lib/roadseg/database
if [ ! -s "$data/PG_VERSION" ]; then
  rm -rf "$data.new"
  initdb --pgdata "$data.new" --username postgres --auth-local trust --auth-host scram-sha-256 --encoding UTF8 \
    --locale C.UTF-8 >/dev/null
  echo 'host all all all scram-sha-256' >>"$data.new/pg_hba.conf"
  mv "$data.new" "$data"
fi
# only this container reaches the socket; the health check looks for the one of the port that others use
pg_ctl --pgdata "$data" --wait --silent --options "-c listen_addresses='' -k /tmp -p 15431" start
psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 --host /tmp --port 15431 --username postgres >/dev/null <<'SQL'
\getenv prefect PREFECT_DATABASE_PASSWORD
\getenv mlflow MLFLOW_DATABASE_PASSWORD
SET log_statement = 'none';
SELECT format('CREATE ROLE %I LOGIN', name) FROM unnest(ARRAY['prefect', 'mlflow']) AS name
  WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec
ALTER ROLE prefect PASSWORD :'prefect';
ALTER ROLE mlflow PASSWORD :'mlflow';
SELECT format('CREATE DATABASE %I OWNER %I', name, split_part(name, '_', 1))
  FROM unnest(ARRAY['prefect', 'mlflow', 'mlflow_auth']) AS name
  WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = name) \gexec
SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', name)
  FROM unnest(ARRAY['prefect', 'mlflow', 'mlflow_auth']) AS name \gexec
SQL
pg_ctl --pgdata "$data" --wait --silent --mode fast stop
exec postgres -D "$data" -c listen_addresses="${LISTEN:-*}" -c unix_socket_directories=/tmp -p 15432
