# shellcheck shell=bash
# Phase one: looks, changes nothing. Fills REFUSALS (why it cannot be done, all of them at once) and PLAN (what would
# be done). Everything that follows acts on what stands here.

declare -gA NEEDED=() SPACE_NEEDED=() SPACE_FREE=() SPACE_FOR=()

# refuse EXIT MESSAGE [HINT]
refuse() {
  REFUSALS+=("$2${3:+$'\n'      $3}")
  ((REFUSAL_EXIT != 0)) || REFUSAL_EXIT=$1
}

# need NAME TEXT: one line of the plan; `needed NAME` asks for it later.
need() {
  NEEDED[$1]=yes
  PLAN+=("$2")
}
needed() { [[ -n ${NEEDED[$1]:-} ]]; }

look_at_caller() {
  ((EUID == 0)) || refuse 7 'this needs root' "run: sudo $COMMAND_LINE"
  ((EUID == 0)) || NOTES+=('without root the Docker Engine and the holders of ports cannot be seen; the list below may be too long')
}

look_at_system() {
  local machine
  machine=$(uname -m)
  case $machine in
    x86_64 | amd64) NODE_ARCH=x64 ;;
    aarch64 | arm64) NODE_ARCH=arm64 ;;
    *)
      NODE_ARCH=''
      refuse 1 "the processor architecture $machine is not supported" 'supported: x86_64 and aarch64'
      ;;
  esac
  OS_ID='' OS_VERSION='' OS_CODENAME='' OS_LIKE='' OS_NAME='this system'
  if [[ -r /etc/os-release ]]; then
    # shellcheck source=/dev/null
    eval "$(. /etc/os-release && printf 'OS_ID=%q OS_VERSION=%q OS_CODENAME=%q OS_LIKE=%q OS_NAME=%q' \
      "${ID:-}" "${VERSION_ID:-}" "${VERSION_CODENAME:-}" "${ID_LIKE:-}" "${PRETTY_NAME:-this system}")"
  fi
  if [[ $OS_ID == debian && $OS_VERSION =~ ^1[23]$ ]]; then
    return
  elif [[ " $OS_ID $OS_LIKE " == *" debian "* ]] && command -v apt-get >/dev/null; then
    NOTES+=("$OS_NAME is not Debian 12 or 13; its packages are used as far as they go, without a promise")
  else
    refuse 1 "$OS_NAME is not supported" 'supported: Debian 12 and 13; Ubuntu and other relatives with apt as far as they go'
  fi
}

# space PATH MEGABYTES: collected per file system, so that two needs on one disk add up.
space() {
  local path=$1 line target available
  while [[ ! -e $path ]]; do path=$(dirname -- "$path"); done
  line=$(df --output=avail,target -BM -- "$path" | tail -n 1)
  read -r available target <<<"$line"
  SPACE_NEEDED[$target]=$((${SPACE_NEEDED[$target]:-0} + $2))
  SPACE_FREE[$target]=${available%M}
  SPACE_FOR[$target]+="${SPACE_FOR[$target]:+, }$1: $2 MB"
}

look_at_space() {
  local data target
  if needed runtime; then space "$PREFIX" 300; fi
  # Two generations of the program and the packages that it is built with, for as long as that takes.
  if needed program; then space "$PREFIX" 400; fi
  if needed packages; then space /usr 500; fi
  if needed images; then
    data=$(docker info --format '{{.DockerRootDir}}' 2>/dev/null) || data=''
    space "${data:-/var/lib/docker}" "${IMAGES_MB[$WITH_IMAGES]}"
  fi
  if needed deploy; then space "$LIB_DIR" "$DEMO_DATA_MB"; fi
  for target in "${!SPACE_NEEDED[@]}"; do
    if ((SPACE_FREE[$target] < SPACE_NEEDED[$target])); then
      refuse 1 "too little disk: $target has ${SPACE_FREE[$target]} MB free, ${SPACE_NEEDED[$target]} MB are needed" \
        "for ${SPACE_FOR[$target]}"
    fi
  done
}

# Sockets that listen on the port at loopback or at every address: the inode of each. From /proc, because `ss` is not
# part of a minimal system.
listeners() {
  local port
  port=$(printf '%04X' "$1")
  awk -v port="$port" '
    FNR > 1 && $4 == "0A" {
      split($2, local, ":")
      if (local[2] == port && local[1] ~ /^(0+|0100007F|0{16}FFFF00000100007F|0{24}01000000)$/) print $10
    }' /proc/net/tcp /proc/net/tcp6 2>/dev/null
}

# port_holder PORT: who listens there, for a person; empty when nobody does.
port_holder() {
  local inode socket pid container
  inode=$(listeners "$1" | head -n 1)
  [[ -n $inode ]] || return 0
  container=$(docker ps --filter "publish=$1" --format '{{.Names}}' 2>/dev/null | head -n 1)
  if [[ -n $container ]]; then
    printf 'the container %s' "$container"
    return
  fi
  for socket in /proc/[0-9]*/fd/*; do
    [[ $(readlink -- "$socket" 2>/dev/null) == "socket:[$inode]" ]] || continue
    pid=${socket#/proc/}
    pid=${pid%%/*}
    printf 'process %s (%s)' "$pid" "$(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | cut -c 1-80 | sed 's/ *$//')"
    return
  done
  printf 'a process that only root can name'
}

look_at_ports() {
  local port holder
  for port in "${DEMO_PORTS[@]}"; do
    # Configured, but not deployed: an earlier run was cut short after it had started the edge.
    if [[ -e $ETC_DIR/appliance.yaml ]] &&
      [[ -n $(docker ps --filter "publish=$port" --filter "label=appliance.name=$DEMO_NAME" --quiet 2>/dev/null) ]]; then
      continue
    fi
    holder=$(port_holder "$port")
    [[ -z $holder ]] || refuse 1 "port $port is taken by $holder" 'the demo listens on 127.0.0.1, ports 8080 and 8443'
  done
}

print_look() {
  local line
  printf 'This host: %s, %s, process 1 is %s\n' "$OS_NAME" "$(uname -m)" "$INIT_NAME"
  for line in "${NOTES[@]}"; do printf 'note: %s\n' "$line"; done
  if ((${#REFUSALS[@]} > 0)); then
    printf '\nThis cannot be done:\n' >&2
    printf '  - %s\n' "${REFUSALS[@]}" >&2
  fi
  if ((${#PLAN[@]} > 0)); then
    printf '\n%s:\n' "$1"
    printf '  - %s\n' "${PLAN[@]}"
  fi
}
