#!/usr/bin/env bash
# Exit 0 when the server of this container answers PONG to its own password.
set -euo pipefail
REDISCLI_AUTH=$(</run/redis/password)
export REDISCLI_AUTH
[ "$(timeout 3 redis-cli -h 127.0.0.1 ping)" = PONG ]
