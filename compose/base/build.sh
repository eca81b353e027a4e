#!/usr/bin/env bash
# Makes sure that the base image of all our Dockerfiles, debian:trixie-slim, exists on this engine.
#
# Present: nothing is done. Absent: it is pulled; where no registry answers, it is made from Debian's archive with
# mmdebstrap and imported under the same name, so the whole system also builds where only a Debian mirror is reachable.
# The mirror is the one the host's own apt uses, whatever its release and whichever format its sources have.
#
# Environment: BASE_IMAGE (name to make, default debian:trixie-slim), BASE_PULL_TIMEOUT (seconds, default 60),
#              BASE_PULL=no (skip the registry).
# Exit: 0 the image exists, 1 it could not be made (nothing is left behind), 2 usage.
set -euo pipefail

suite=trixie
image=${BASE_IMAGE:-debian:trixie-slim}
pull_timeout=${BASE_PULL_TIMEOUT:-60}

say() { printf '%s\n' "base image: $*" >&2; }
die() {
  say "$*"
  exit 1
}

# The one-line apt sources of the wanted suite, on the mirrors that the host's apt uses for Debian. Prints nothing when
# the host is not Debian or has no package lists; mmdebstrap then uses the mirror it knows itself.
mirror_lines() {
  command -v apt-get >/dev/null || return 0
  # shellcheck disable=SC2016 # $(…) are apt's own placeholders
  apt-get indextargets --format '$(ORIGIN) $(REPO_URI) $(RELEASE)' 'Created-By: Packages' 2>/dev/null |
    while read -r origin uri release; do
      case $origin:$uri in
        Debian:http://* | Debian:https://*) ;;
        *) continue ;;
      esac
      case $release in
        *-security) printf 'deb %s %s-security main\n' "$uri" "$suite" ;;
        *-updates) printf 'deb %s %s-updates main\n' "$uri" "$suite" ;;
        *-* | */*) ;; # backports, proposed updates: no part of a base image
        sid | unstable | testing | experimental) ;;
        *) printf 'deb %s %s main\n' "$uri" "$suite" ;;
      esac
    done | sort -u
}

# apt's proxy settings reach mmdebstrap through the environment, so that they leave no trace in the image.
export_apt_proxy() {
  local apt_http='' apt_https=''
  command -v apt-config >/dev/null || return 0
  eval "$(apt-config shell apt_http Acquire::http::Proxy apt_https Acquire::https::Proxy)"
  if [ -n "$apt_http" ] && [ "$apt_http" != DIRECT ]; then export http_proxy=$apt_http; fi
  if [ -n "$apt_https" ] && [ "$apt_https" != DIRECT ]; then export https_proxy=$apt_https; fi
}

make_from_archive() {
  command -v mmdebstrap >/dev/null ||
    die "no registry answered and mmdebstrap is not installed; install it with: apt-get install mmdebstrap"
  local lines=() include=()
  mapfile -t lines < <(mirror_lines)
  # Without the release's own archive the other lines are of no use: leave the choice to mmdebstrap.
  [[ " ${lines[*]-} " == *" $suite main"* ]] || lines=()
  [[ "${lines[*]-}" != *https://* ]] || include=(--include=ca-certificates)
  export_apt_proxy

  work=$(mktemp -d "${TMPDIR:-/tmp}/appliance-base.XXXXXX") || die 'no temporary directory can be made'
  trap 'rm -rf -- "$work"' EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
  say "making $image from Debian's archive with mmdebstrap (about a minute)"
  # The exclusions stay in the image, as in Debian's own slim images: what is installed on top of it obeys them too.
  if ! mmdebstrap --quiet --variant=minbase --format=tar "${include[@]}" \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/info/*' \
    --dpkgopt='path-exclude=/usr/share/groff/*' --dpkgopt='path-exclude=/usr/share/lintian/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-include=/usr/share/locale/locale.alias' \
    "$suite" "$work/root.tar" "${lines[@]}" >"$work/log" 2>&1; then
    tail -n 15 "$work/log" >&2
    die "mmdebstrap failed (its last lines stand above); nothing was imported"
  fi
  docker import --change 'CMD ["bash"]' --message "Debian $suite, minimal, without documentation" \
    "$work/root.tar" "$image" >/dev/null || die "the engine refused to import $image"
}

main() {
  if [ $# -ne 0 ]; then
    say 'usage: build.sh (takes no arguments; see the comment at its top)'
    exit 2
  fi
  docker version --format '{{.Server.Version}}' >/dev/null 2>&1 || die 'Docker Engine does not answer'
  if docker image inspect "$image" >/dev/null 2>&1; then
    say "$image is present"
    return
  fi
  if [ "${BASE_PULL:-yes}" != no ] && timeout "$pull_timeout" docker pull --quiet "$image" >/dev/null 2>&1; then
    say "$image was pulled"
    return
  fi
  make_from_archive
  say "$image was made"
}

main "$@"
