# shellcheck shell=bash
# Debian packages. A third-party source that is dead, slow or signed with an expired key must not stop the install:
# a failed update is noted, and a failed install is tried once more with the distribution's own sources alone.

has() { command -v "$1" >/dev/null 2>&1; }

compose_v2() { [[ $(timeout 10 docker compose version --short 2>/dev/null) =~ ^v?([2-9]|[1-9][0-9]+)\. ]]; }

# Fills PACKAGES with what is missing; Compose, whose package has another name on each release, is decided later.
look_at_packages() {
  PACKAGES=("${EXTRA_PACKAGES[@]}")
  has git || PACKAGES+=(git)
  # Something that fetches over TLS, for Node.js.
  if needed runtime && ! has curl; then PACKAGES+=(curl ca-certificates); fi
  if [[ $WITH_ENGINE == yes ]]; then
    if ! has dockerd && ! engine_up; then PACKAGES+=(docker.io); fi
    if ! has iptables && ! engine_up; then PACKAGES+=(iptables); fi
    has docker || PACKAGES+=(docker-cli)
  fi
  local names
  mapfile -t names < <(package_names "${PACKAGES[@]}")
  if ((${#names[@]} > 0)); then need packages "install packages: ${names[*]}"; fi
  # By these the scan of models looks into compressed files; without them it refuses those.
  UNPACKERS=()
  has bzip2 || UNPACKERS+=(bzip2)
  has xz || UNPACKERS+=(xz-utils)
  has lz4 || UNPACKERS+=(lz4)
  if ((${#UNPACKERS[@]} > 0)); then need unpackers "install packages: ${UNPACKERS[*]} (to look into compressed models)"; fi
  if [[ $WITH_ENGINE == yes ]] && ! compose_v2; then
    need compose 'install Compose v2 (package docker-compose; where this release of Debian has no v2, that of Debian 13 alone)'
  fi
}

apt() {
  DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 apt-get -q -y -o DPkg::Lock::Timeout=180 \
    -o Acquire::Retries=1 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20 "$@"
}

apt_update() {
  [[ -z ${APT_UPDATED:-} ]] || return 0
  APT_UPDATED=yes
  run 'Refreshing the package lists' apt update || warn 'some package source did not answer; going on with the others'
}

candidate() { apt-cache policy "$1" 2>/dev/null | sed -n 's/^  Candidate: //p' | grep -v '^(none)$'; }
is_installed() { [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]]; }

# distribution_sources SUITE: sets APT_ALONE to options that make apt see one suite of Debian's main archive and nothing
# else, with lists and cache in the work directory: the host's own sources are not touched. The archive is the one that
# the host's apt uses.
distribution_sources() {
  local suite=$1 directory="$WORK/apt-$1" uri keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  # shellcheck disable=SC2016 # $(…) are apt's own placeholders
  uri=$(apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
    sed -n 's/^Debian|Debian|//p' | head -n 1)
  [[ -n $uri ]] || return 1
  mkdir -p "$directory/lists/partial" "$directory/cache/archives/partial"
  {
    printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\n' "$uri" "$suite"
    [[ ! -e $keyring ]] || printf 'Signed-By: %s\n' "$keyring"
  } >"$directory/suite.sources"
  APT_ALONE=(-o "Dir::Etc::sourcelist=$directory/suite.sources" -o Dir::Etc::sourceparts=/dev/null
    -o "Dir::State::lists=$directory/lists" -o "Dir::Cache=$directory/cache")
  run "Refreshing the package lists of $suite alone" apt "${APT_ALONE[@]}" update
}

# apt_install PACKAGE...
apt_install() {
  local before
  before=$(dpkg-query -W -f '${Package}\n' | sort)
  apt_update
  if ! run "Installing packages: $*" apt install --no-install-recommends "$@"; then
    warn 'that failed; trying once more with the distribution alone'
    distribution_sources "$OS_CODENAME" || return 1
    run "Installing packages: $*" apt "${APT_ALONE[@]}" install --no-install-recommends "$@" || return 1
  fi
  record_packages "$before"
}

record_packages() {
  local new
  new=$(comm -13 <(printf '%s\n' "$1") <(dpkg-query -W -f '${Package}\n' | sort) | tr '\n' ' ')
  [[ -z $new ]] || changed "installed packages: $new"
}

# package_names NAME...: what they are called on this host, as far as its package lists tell.
package_names() {
  local name
  for name in "$@"; do
    case $name in
      # Docker's own repository, where the host has it; the two families of packages exclude each other.
      docker.io) if [[ -n $(candidate docker-ce) ]]; then name=docker-ce; fi ;;
      # A package of its own since Debian 13, before that a part of docker.io.
      docker-cli)
        if [[ -n $(candidate docker-ce-cli) ]]; then name=docker-ce-cli
        elif [[ -z $(candidate docker-cli) && ($OS_ID:$OS_VERSION == debian:12 || -n $(candidate docker.io)) ]]; then continue; fi
        ;;
    esac
    printf '%s\n' "$name"
  done
}

install_packages() {
  needed packages || return 0
  local wanted
  apt_update
  mapfile -t wanted < <(package_names "${PACKAGES[@]}")
  apt_install "${wanted[@]}" || die 1 "packages could not be installed: ${wanted[*]}" 'the log says why'
}

# A host that cannot get them goes on without: no model gets past the scan by that.
install_unpackers() {
  needed unpackers || return 0
  apt_update
  apt_install "${UNPACKERS[@]}" || warn "not installed: ${UNPACKERS[*]}; the scan refuses models that are compressed with them"
}

install_compose() {
  needed compose || return 0
  compose_v2 && return 0
  local package version
  apt_update
  for package in docker-compose-plugin docker-compose-v2 docker-compose; do
    version=$(candidate "$package")
    if [[ ${version#*:} =~ ^([2-9]|[1-9][0-9]+)\. ]]; then
      apt_install "$package" && compose_v2 && return 0
    fi
  done
  if [[ $OS_ID == debian && $OS_VERSION == 12 ]]; then
    install_compose_of_trixie && compose_v2 && return 0
  fi
  die 1 'Compose v2 could not be installed' "install it by hand so that 'docker compose version' answers 2.0 or newer"
}

# Debian 12 ships Compose v1. The package of Debian 13 is one static program and fits; should it ever ask for more
# than itself, it is left alone rather than pull a newer C library into this host.
install_compose_of_trixie() {
  local before others
  distribution_sources trixie || return 1
  others=$(apt "${APT_ALONE[@]}" install --simulate --no-install-recommends docker-compose 2>/dev/null |
    sed -n 's/^Inst \([^ ]*\).*/\1/p' | grep -vxE 'docker-compose|docker-cli' | tr '\n' ' ')
  if [[ -n $others ]]; then
    warn "docker-compose of Debian 13 would also bring: $others"
    return 1
  fi
  before=$(dpkg-query -W -f '${Package}\n' | sort)
  run 'Installing Compose v2 from Debian 13' apt "${APT_ALONE[@]}" install --no-install-recommends docker-compose ||
    return 1
  record_packages "$before"
}
