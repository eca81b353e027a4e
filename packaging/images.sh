#!/usr/bin/env bash
# Makes the images that all appliances share. What is there and unchanged is left alone, so a second run takes a few
# seconds.
#
# usage: images.sh [edge]   edge: only what every appliance needs: the base image, the edge and restic for its backups
#                           (default: these and what the releases of the reference application build on)
# Exit: 0 all are there, 1 one could not be made, 2 usage.
set -euo pipefail

repository=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)

main() {
  if [[ $# -gt 1 || ${1:-edge} != edge ]]; then
    printf 'usage: images.sh [edge]\n' >&2
    exit 2
  fi
  # nginx/build.sh makes the base image too.
  if [[ ${1:-} == edge ]]; then "$repository/compose/images/build.sh" restic
  else "$repository/compose/images/build.sh"; fi
  "$repository/nginx/build.sh"
}

main "$@"
