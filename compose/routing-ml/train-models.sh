#!/usr/bin/env bash
# Trains the two models that the releases ship and puts them where they are committed: app/models (v1.0 and later) and
# versions/v0.9/models. Needed only when the catalogue or the model's code changes; everything but the measured speeds
# comes out the same.
#
# usage: train-models.sh
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
"$here/../images/build.sh" routing-ml-python
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT

# train DIRECTORY VERSION CREATED_AT NEIGHBOURS SHARE
train() {
  docker run --rm --network none --user "$(id -u):$(id -g)" -v "$here/app/backend:/app:ro" -v "$work:/out" \
    appliance/routing-ml-python:1 python3 -m routing_model "/out/$2" "$2" "$3" "$4" "$5"
  rm -rf -- "${1:?}"
  cp -R -- "$work/$2" "$1"
}

train "$here/versions/v0.9/models" 2025.3 2025-10-20T08:00:00Z 15 50
train "$here/app/models" 2026.1 2026-01-05T08:00:00Z 9 100
