#!/usr/bin/env bash
# Runs restic with the variables of /run/restic/environment, one KEY=VALUE a line, `#` begins a comment. They are read as
# they stand: no quotes, no expansion. So credentials of a target stand neither in the arguments nor in what the engine
# tells of the container. With `--` as the first argument the rest is run instead of restic.
set -euo pipefail

file=/run/restic/environment
if [ -e "$file" ]; then
  while IFS= read -r line || [ -n "$line" ]; do
    line=${line%$'\r'}
    [[ $line =~ ^[[:space:]]*(#|$) ]] && continue
    if ! [[ $line =~ ^[A-Za-z_][A-Za-z0-9_]*= ]]; then
      printf 'the environment file of the target has a line that is not KEY=VALUE\n' >&2
      exit 1
    fi
    export "${line?}"
  done <"$file"
fi
[ ! -e /credentials/rclone.conf ] || export RCLONE_CONFIG=/credentials/rclone.conf

if [ "${1-}" = -- ]; then
  shift
  exec "$@"
fi
exec restic "$@"
