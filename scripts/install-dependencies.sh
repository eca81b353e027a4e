#!/usr/bin/env bash
# Brings node_modules of the current directory to what package-lock.json says; does nothing when it is there already.
#
# Not `npm ci`: that refuses a lock file which was written where the registry does not carry the binaries of other
# systems. `npm install --no-save --ignore-scripts` takes the locked versions, verifies their checksums and leaves the lock file alone;
# the check afterwards proves that nothing else came in. Install scripts are not run: none is needed (better-sqlite3 brings
# its binary), and a compiler is not to be expected on an appliance.
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)

main() {
  node "$here/dependencies-current.js" && return 0
  npm install --no-save --ignore-scripts --no-audit --no-fund --loglevel=error
  node "$here/dependencies-current.js" && return 0
  printf 'node_modules is not what package-lock.json says; remove node_modules and try again\n' >&2
  return 1
}

main "$@"
