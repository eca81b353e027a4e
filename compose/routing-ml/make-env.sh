#!/usr/bin/env bash
# Writes an environment file for the reference application with secrets of its own, mode 600.
#
# usage: make-env.sh FILE
# A file that exists is never touched: its secrets are in use. The new one appears complete or not at all.
# Exit: 0 the file is there, 1 it could not be written, 2 usage.
set -euo pipefail
umask 077

die() {
  printf 'environment file: %s\n' "$1" >&2
  exit "${2:-1}"
}

# Hexadecimal, because a dollar sign or a quote would mean something to Compose. Of 24 bytes or more: the backend refuses
# what has fewer than eight different characters, as one of 1,800 secrets of 10 bytes has.
secret() { head -c "$1" /dev/urandom | od -An -v -t x1 | tr -d ' \n'; }

if [ $# -ne 1 ] || [ -z "$1" ] || [[ $1 == -* ]]; then die 'usage: make-env.sh FILE' 2; fi
file=$1
if [ -e "$file" ] || [ -L "$file" ]; then
  printf 'environment file: %s exists and is kept\n' "$file" >&2
  exit 0
fi
partial=$(mktemp "$file.XXXXXX") || die "$(dirname -- "$file") cannot be written"
trap 'rm -f -- "$partial"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

postgres=$(secret 24) redis=$(secret 24)
cat >"$partial" <<END
ENVIRONMENT=production
LOG_LEVEL=INFO
POSTGRES_USER=routing
POSTGRES_DB=routing_ml
POSTGRES_PASSWORD=$postgres
DATABASE_URL=postgresql://routing:$postgres@postgres:5432/routing_ml
REDIS_PASSWORD=$redis
REDIS_URL=redis://:$redis@redis:6379/0
CACHE_SECONDS=300
JWT_SECRET=$(secret 32)
JWT_TTL_SECONDS=3600
AUTH_USERS=
DEMO_USER=demo
DEMO_PASSWORD=$(secret 24)
CORS_ORIGINS=
MODEL_DIRECTORY=/app/models
MODEL_REGISTRY_PATH=/app/models/registry.db
PROMETHEUS_PORT=9090
END
sync "$partial"
# A link instead of a rename: it fails where another caller was faster, and never replaces his file.
ln -- "$partial" "$file" 2>/dev/null || [ -e "$file" ] || die "$file cannot be written"
printf 'environment file: %s is there\n' "$file" >&2
