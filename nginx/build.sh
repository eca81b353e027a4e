#!/usr/bin/env bash
# Builds the image of the edge, appliance/edge:1 (or the name in EDGE_IMAGE), from this directory.
#
# An image whose files and base are unchanged since it was built is left alone, so a second run takes a moment.
# Exit: 0 the image is there, 1 it could not be built (the last lines are shown), 2 usage.
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
image=${EDGE_IMAGE:-appliance/edge:1}
base=$(sed -n 's/^FROM \([^ ]*\).*$/\1/p' "$here/Dockerfile" | head -n 1)

say() { printf '%s\n' "edge image: $*" >&2; }
die() {
  say "$1"
  exit "${2:-1}"
}

# What the image is made from: every file with its mode, and the exact base image.
fingerprint() {
  {
    docker image inspect --format '{{.Id}}' "$base"
    cd -- "$here"
    find . -type f -printf '%m %P\n' | LC_ALL=C sort
    find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
  } | sha256sum | cut -d ' ' -f 1
}

main() {
  [ $# -eq 0 ] || die 'usage: build.sh (takes no arguments; see the comment at its top)' 2
  docker version --format '{{.Server.Version}}' >/dev/null 2>&1 || die 'Docker Engine does not answer'
  "$here/../compose/base/build.sh"
  local wanted present log started=$SECONDS arguments=()
  wanted=$(fingerprint) || die "$base or a file of $here cannot be read"
  present=$(docker image inspect --format '{{index .Config.Labels "appliance.source"}}' "$image" 2>/dev/null || true)
  if [ "$present" = "$wanted" ]; then
    say "$image is up to date"
    return
  fi
  say "building $image"
  # The host's apt proxy, where there is one; http_proxy and https_proxy are known to every builder and not kept.
  if command -v apt-config >/dev/null; then
    local apt_http='' apt_https=''
    eval "$(apt-config shell apt_http Acquire::http::Proxy apt_https Acquire::https::Proxy)"
    [ -z "$apt_http" ] || [ "$apt_http" = DIRECT ] || arguments+=(--build-arg "http_proxy=$apt_http")
    [ -z "$apt_https" ] || [ "$apt_https" = DIRECT ] || arguments+=(--build-arg "https_proxy=$apt_https")
  fi
  log=$(mktemp "${TMPDIR:-/tmp}/appliance-edge.XXXXXX")
  # A reader of the host's own stdin (a piped script) must not lose lines to the builder.
  if ! docker build --tag "$image" --label "appliance.source=$wanted" "${arguments[@]}" "$here" </dev/null >"$log" 2>&1; then
    tail -n 25 "$log" >&2
    rm -f -- "$log"
    die "building $image failed; the last lines of its build stand above"
  fi
  rm -f -- "$log"
  say "built $image in $((SECONDS - started)) s"
}

main "$@"
