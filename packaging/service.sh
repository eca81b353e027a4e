#!/usr/bin/env bash
# Starts and stops the Docker Engine and the agent, with systemd where it is process 1 and without it elsewhere.
# install.sh puts it on the host as PREFIX/bin/appliance-service; PREFIX/bin/appliance-start is its verb `start`.
#
#   service.sh start | stop | restart | status    the agent (start: the engine first, if it does not answer)
#   service.sh start-engine | stop-engine | engine-log
#
# Options: --prefix DIR  where the program lies (default /opt/appliance)
#          --root DIR    APPLIANCE_ROOT of this appliance
#          --run DIR, --log DIR   where pidfiles and logs go (default /run/appliance, /var/log/appliance, or under ROOT)
# Environment, for an engine that is started here: APPLIANCE_DOCKERD_OPTIONS, further options for dockerd (better kept
# in /etc/docker/daemon.json), and DOCKER_HOST, where it is expected to answer.
#
# Exit: 0 done, 1 failed, 2 usage, 3 status: not running, 8 the engine does not answer.

set -uo pipefail

here=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")
readonly here
# Cron gives a short PATH; dockerd lies in an sbin.
PATH="$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

usage() {
  sed -n '2,/^# Exit/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
  exit 2
}

with_systemd() { [[ -d /run/systemd/system && $(cat /proc/1/comm 2>/dev/null) == systemd ]]; }
engine_up() { timeout 10 docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }
supervise() { "$here/supervise.sh" "$@"; }

# One unit for each root, so that several appliances can live side by side.
unit() {
  if [[ -z $root ]]; then printf 'appliance.service'
  else printf 'appliance-%s.service' "$(printf '%s' "$root" | sha256sum | cut -c 1-8)"; fi
}

# --- engine ------------------------------------------------------------------------------------------------------

await_engine() {
  local deadline=$((SECONDS + 60))
  until engine_up; do
    ((SECONDS < deadline)) || return 8
    # Three starts that ended at once: it will not get better.
    [[ $(grep -c 'supervise: the command ended' "$log/engine.log" 2>/dev/null) -lt $((ends_before + 3)) ]] || return 8
    sleep 0.5
  done
}

# dockerd_option NAME DEFAULT: the value that APPLIANCE_DOCKERD_OPTIONS gives to an option of dockerd.
dockerd_option() {
  if [[ " ${APPLIANCE_DOCKERD_OPTIONS:-} " =~ [[:space:]]$1[[:space:]=]+([^[:space:]]+) ]]; then
    printf '%s' "${BASH_REMATCH[1]}"
  else
    printf '%s' "$2"
  fi
}

# A killed engine leaves pidfiles. When another process has such a number by now, dockerd refuses to start, or waits for a
# containerd that is not there.
remove_stale_pidfiles() {
  local name file pid
  for name in dockerd containerd; do
    case $name in
      dockerd) file=$(dockerd_option --pidfile /var/run/docker.pid) ;;
      containerd) file=$(dockerd_option --exec-root /var/run/docker)/containerd/containerd.pid ;;
    esac
    [[ -f $file ]] || continue
    pid=$(head -n 1 -- "$file" | tr -cd '0-9')
    [[ $(cat "/proc/${pid:-none}/comm" 2>/dev/null) == "$name" ]] || rm -f -- "$file"
  done
}

start_engine() {
  ends_before=0
  engine_up && return 0
  if with_systemd; then
    systemctl enable --now docker.service || return 8
    await_engine
    return
  fi
  mkdir -p -- "$run" "$log" || return 1
  remove_stale_pidfiles
  ends_before=$(grep -c 'supervise: the command ended' "$log/engine.log" 2>/dev/null)
  ends_before=${ends_before:-0}
  local options=()
  read -ra options <<<"${APPLIANCE_DOCKERD_OPTIONS:-}"
  supervise start --pidfile "$run/engine.pid" --log "$log/engine.log" -- dockerd "${options[@]}"
  # 5: a supervisor is there already and about to start it again.
  case $? in 0 | 5) ;; *) return 8 ;; esac
  await_engine && return 0
  supervise stop --pidfile "$run/engine.pid"
  return 8
}

stop_engine() {
  if with_systemd; then systemctl stop docker.socket docker.service 2>/dev/null
  else supervise stop --pidfile "$run/engine.pid"; fi
}

engine_log() {
  if with_systemd; then journalctl --no-pager --unit docker.service --lines 15 --output cat
  else tail -n 15 "$log/engine.log"; fi
}

# --- agent -------------------------------------------------------------------------------------------------------

# A socket file may be left by an agent that was killed; only a connection proves that one lives.
listens() {
  [[ -S $1 ]] && "$prefix/runtime/bin/node" -e '
    require("node:net").connect(process.argv[1]).on("connect", () => process.exit(0)).on("error", () => process.exit(1));
  ' "$1"
}

await_agent() {
  local deadline=$((SECONDS + 60))
  until listens "$run/agent.sock"; do
    if ((SECONDS >= deadline)); then
      printf 'the agent does not answer after 60 s; its last lines:\n' >&2
      agent_log >&2
      return 1
    fi
    sleep 0.3
  done
}

start() {
  start_engine || { printf 'the Docker Engine does not answer\n' >&2; return 8; }
  if with_systemd; then
    systemctl start "$(unit)" || return 1
  else
    mkdir -p -- "$run" "$log" || return 1
    supervise start --pidfile "$run/agent.pid" --log "$log/agent.out" -- \
      "$prefix/bin/appliance" agent --foreground 2>/dev/null
    case $? in 0 | 5) ;; *) return 1 ;; esac
  fi
  await_agent
}

agent_log() {
  if with_systemd; then journalctl --no-pager --unit "$(unit)" --lines 15 --output cat
  else tail -n 15 "$log/agent.out"; fi
}

stop() {
  if with_systemd; then systemctl stop "$(unit)"
  else supervise stop --pidfile "$run/agent.pid"; fi
}

restart() {
  status >/dev/null || { start; return; }
  if with_systemd; then systemctl restart "$(unit)" || return 1
  else supervise restart --pidfile "$run/agent.pid" || return 1; fi
  await_agent
}

status() {
  if with_systemd; then
    systemctl is-active "$(unit)" || return 3
  else supervise status --pidfile "$run/agent.pid"; fi
}

main() {
  local verb=${1:-}
  (($# > 0)) && shift
  prefix=/opt/appliance root='' run='' log=''
  while (($# > 0)); do
    (($# >= 2)) || usage
    case $1 in
      --prefix) prefix=$2 ;;
      --root) root=$2 ;;
      --run) run=$2 ;;
      --log) log=$2 ;;
      *) usage ;;
    esac
    shift 2
  done
  : "${run:=${root:+$root/run}}" "${log:=${root:+$root/log}}"
  : "${run:=/run/appliance}" "${log:=/var/log/appliance}"
  if [[ -n $root ]]; then export APPLIANCE_ROOT=$root; fi
  case $verb in
    start) start ;;
    stop) stop ;;
    restart) restart ;;
    status) status ;;
    start-engine) start_engine ;;
    stop-engine) stop_engine ;;
    engine-log) engine_log ;;
    unit) unit ;;
    *) usage ;;
  esac
  exit
}

main "$@"
