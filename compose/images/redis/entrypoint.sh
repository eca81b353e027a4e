#!/usr/bin/env bash
# Starts Redis as process 1, configured as a cache with a password.
#
# Environment: REDIS_PASSWORD or REDIS_PASSWORD_FILE (required), REDIS_MAXMEMORY (default 128mb; the least recently used
# keys go first). Arguments: `redis-server [options]`; anything else is run instead.
# The password goes into a file that only this user reads: arguments are visible to every process of the host.
set -euo pipefail
umask 077

die() {
  printf 'redis: %s\n' "$*" >&2
  exit 1
}

[ "${1-}" = redis-server ] || exec "$@"
shift
[ "$(id -u)" -ne 0 ] || die 'refuses to run as root; leave the user of the image as it is'
[ -w /data ] || die "/data cannot be written by uid $(id -u); give the directory to that user"

password=${REDIS_PASSWORD-}
if [ -n "${REDIS_PASSWORD_FILE-}" ]; then
  [ -z "$password" ] || die 'REDIS_PASSWORD and REDIS_PASSWORD_FILE are both set; give one of them'
  [ -r "$REDIS_PASSWORD_FILE" ] || die "REDIS_PASSWORD_FILE names $REDIS_PASSWORD_FILE, which cannot be read"
  password=$(<"$REDIS_PASSWORD_FILE")
fi
[[ $password =~ ^[!-~]+$ && $password != *[\"\\]* ]] ||
  die 'needs REDIS_PASSWORD or REDIS_PASSWORD_FILE: printable characters without blanks, quotes and backslashes'
maxmemory=${REDIS_MAXMEMORY:-128mb}
[[ $maxmemory =~ ^[0-9]+(b|k|kb|m|mb|g|gb)?$ ]] || die 'REDIS_MAXMEMORY must be a number with a unit, for example 128mb'

printf '%s' "$password" >/run/redis/password
{
  printf 'requirepass "%s"\n' "$password"
  printf '%s\n' "maxmemory $maxmemory" 'maxmemory-policy allkeys-lru' 'dir /data' 'bind * -::*' 'protected-mode no' \
    'save 300 1' 'stop-writes-on-bgsave-error no' 'daemonize no' 'logfile ""' 'tcp-keepalive 60'
} >/run/redis/redis.conf
unset REDIS_PASSWORD password

exec redis-server /run/redis/redis.conf "$@"
