#!/usr/bin/env bash
# Starts PostgreSQL as process 1, after making its cluster at the first start.
#
# Environment: POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE (needed at the first start only), POSTGRES_USER (default
# postgres), POSTGRES_DB (default: the user's name). Arguments: `postgres [options]`; anything else is run instead.
#
# The cluster is made under another name and renamed when complete, so a first start that is cut short is simply repeated.
set -euo pipefail

root=${PGDATA%/*}

die() {
  printf 'postgres: %s\n' "$*" >&2
  exit 1
}

# value NAME: the variable NAME, or the content of the file that NAME_FILE names.
value() {
  local file=${1}_FILE
  if [ -n "${!file-}" ]; then
    [ -r "${!file}" ] || die "$file names ${!file}, which cannot be read by user $(id -un)"
    [ -z "${!1-}" ] || die "$1 and $file are both set; give one of them"
    printf '%s' "$(<"${!file}")"
  else
    printf '%s' "${!1-}"
  fi
}

identifier() {
  [[ $2 =~ ^[A-Za-z_][A-Za-z0-9_]{0,62}$ ]] || die "$1 must be letters, digits and _ (63 at most)"
}

create_cluster() {
  local user database password new=$root/.new
  user=$(value POSTGRES_USER)
  user=${user:-postgres}
  database=$(value POSTGRES_DB)
  database=${database:-$user}
  password=$(value POSTGRES_PASSWORD)
  identifier POSTGRES_USER "$user"
  identifier POSTGRES_DB "$database"
  [ -n "$password" ] || die 'the first start needs POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE'

  rm -rf -- "$new"
  initdb --pgdata="$new" --username="$user" --pwfile=<(printf '%s\n' "$password") --encoding=UTF8 \
    --locale-provider=builtin --builtin-locale=C.UTF-8 --locale=C.UTF-8 --auth-host=scram-sha-256 --auth-local=peer \
    --data-checksums >/dev/null
  # Inside the container the server's own account is the superuser (dumps run there); from the network a password is asked.
  printf 'local all all peer map=container\nhost all all all scram-sha-256\n' >"$new/pg_hba.conf"
  printf 'container postgres %s\n' "$user" >"$new/pg_ident.conf"
  if [ "$database" != postgres ]; then
    printf 'CREATE DATABASE "%s"\n' "$database" | postgres --single -j -D "$new" postgres >/dev/null
  fi
  sync
  mv -T -- "$new" "$PGDATA"
  sync "$root"
}

[ "${1-}" = postgres ] || exec "$@"
shift
[ "$(id -u)" -ne 0 ] || die 'refuses to run as root; leave the user of the image as it is'
[ -w "$root" ] || die "$root cannot be written by uid $(id -u); give the directory to that user"

# Two servers on one directory destroy it, and in two containers neither sees the other's process. The lock does; it
# is inherited by the server and ends with it. A predecessor that is just stopping is waited for.
exec 9>"$root/.lock"
flock --timeout 60 9 || die "another PostgreSQL is using $root"

[ -e "$PGDATA" ] || create_cluster
[ "$(<"$PGDATA/PG_VERSION")" = 17 ] || die "$PGDATA was made by PostgreSQL $(<"$PGDATA/PG_VERSION"); this is 17"

exec postgres -D "$PGDATA" -c listen_addresses='*' -c unix_socket_directories=/run/postgresql -c jit=off \
  -c log_timezone=UTC -c timezone=UTC -c log_line_prefix='%m [%p] %q%u@%d ' "$@"
