#!/usr/bin/env bash
# Builds the images that releases share: one per directory here, named by the first line of its Dockerfile.
#
# usage: build.sh [DIRECTORY…]   (default: all but those with a line "# tests only"; the base image and appliance/base
# come first in any case)
# An image whose directory and base are unchanged since it was built is left alone, so a second run takes a second.
# Exit: 0 all are there, 1 a build failed (its last lines are shown; the images built so far stay), 2 usage.
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)

say() { printf '%s\n' "images: $*" >&2; }
die() {
  say "$1"
  exit "${2:-1}"
}

image_of() { sed -n '1s/^# image: \([a-z0-9./:-]*\)$/\1/p' "$here/$1/Dockerfile"; }
base_of() { sed -n 's/^FROM \([^ ]*\).*$/\1/p' "$here/$1/Dockerfile" | head -n 1; }

# What the image is made from: every file with its mode, and the exact base image.
fingerprint() {
  {
    docker image inspect --format '{{.Id}}' "$2"
    cd -- "$here/$1"
    find . -type f -printf '%m %P\n' | LC_ALL=C sort
    find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
  } | sha256sum | cut -d ' ' -f 1
}

build() {
  local directory=$1 image base wanted present started=$SECONDS log arguments=()
  image=$(image_of "$directory")
  [ -n "$image" ] || die "$directory/Dockerfile does not begin with '# image: name:tag'"
  base=$(base_of "$directory")
  wanted=$(fingerprint "$directory" "$base") || die "$directory cannot be read, or its base image $base is missing"
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
  log=$(mktemp "${TMPDIR:-/tmp}/appliance-image.XXXXXX")
  # A reader of the host's own stdin (a piped script) must not lose lines to the builder.
  if ! docker build --tag "$image" --label "appliance.source=$wanted" "${arguments[@]}" "$here/$directory" \
    </dev/null >"$log" 2>&1; then
    tail -n 25 "$log" >&2
    rm -f -- "$log"
    die "building $image failed; the last lines of its build stand above"
  fi
  rm -f -- "$log"
  say "built $image in $((SECONDS - started)) s"
}

main() {
  local directory wanted=()
  for directory in "$@"; do
    [ -f "$here/$directory/Dockerfile" ] || die "there is no image directory '$directory'" 2
  done
  docker version --format '{{.Server.Version}}' >/dev/null 2>&1 || die 'Docker Engine does not answer'
  "$here/../base/build.sh"
  build base
  if [ $# -gt 0 ]; then
    wanted=("$@")
  else
    for directory in "$here"/*/Dockerfile; do
      grep -q '^# tests only$' "$directory" || wanted+=("$(basename "$(dirname "$directory")")")
    done
  fi
  for directory in "${wanted[@]}"; do
    [ "$directory" = base ] || build "$directory"
  done
}

main "$@"
