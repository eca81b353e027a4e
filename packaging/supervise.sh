#!/usr/bin/env bash
# Keeps one command running on a host without a service manager: detached, restarted after a crash with a growing
# pause, its output in a bounded log. One supervisor for one pidfile.
#
#   supervise.sh start --pidfile F --log F [options] -- COMMAND…   detach, start, return when the command was started
#   supervise.sh run     (the same arguments) …                    the same without detaching
#   supervise.sh stop    --pidfile F     stop the command (SIGTERM, later SIGKILL), wait for it, end the supervisor
#   supervise.sh restart --pidfile F     stop the command and start it again at once; the supervisor stays
#   supervise.sh status  --pidfile F     "running, supervisor N, command M" or "not running"
#
# Options, times in milliseconds:
#   --first-pause 1000   pause before the first restart; doubles with each restart
#   --last-pause 30000   the longest pause
#   --steady 60000       a command that lived this long starts again with the first pause
#   --patience 30000     how long a stopped command may take before it is killed
#   --log-bytes 8388608  size at which the log becomes LOG.1
#
# Exit: 0 done (status: running), 1 failed, 2 usage, 3 status: not running, 5 another supervisor holds the pidfile.
#
# A lock of the kernel on the pidfile, not the number in it, says whether a supervisor lives. So neither a pidfile left
# by a crash or a reboot nor a process that has been given the same number since can be mistaken for it. The pidfile is
# never removed (its lock would go with it), only emptied. Three lines: the supervisor's pid, the command's, and since
# when that lives. By the third line the next supervisor knows a command whose supervisor was killed, and ends it first.

set -uo pipefail

readonly busy=5

usage() {
  sed -n '2,/^# Exit/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
  exit 2
}

# Milliseconds since boot. The wall clock may be set back while a command runs.
monotonic() {
  local up
  read -r up _ </proc/uptime
  printf '%d' "$((10#${up/./} * 10))"
}

seconds() { printf '%d.%03d' "$(($1 / 1000))" "$(($1 % 1000))"; }

note() { printf '%s supervise: %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$*" >>"$log"; }

# --- who holds the pidfile ---------------------------------------------------------------------------------------

# A shared lock for an instant: refused as long as a supervisor holds its exclusive one.
held() {
  [[ -e $pidfile ]] || return 1
  ! (flock --shared --nonblock 9) 9<"$pidfile" 2>/dev/null
}

# Whether the pidfile names a supervisor that lives. Only of use for a pidfile that is locked.
names_supervisor() {
  local pid
  read -r pid <"$pidfile" && [[ $pid =~ ^[0-9]+$ ]] && grep -aqF supervise.sh "/proc/$pid/cmdline" 2>/dev/null
}

# read_pids: sets supervisor and command_pid. The holder writes the file right after it has taken the lock; until then it
# may name one that was killed.
read_pids() {
  local attempt
  for attempt in {1..50}; do
    held || return 1
    names_supervisor && { read -r supervisor && read -r command_pid; } <"$pidfile" && return 0
    sleep 0.1
  done
  printf 'supervise: %s is locked but names no process (attempt %d)\n' "$pidfile" "$attempt" >&2
  return 1
}

# Which boot and which of its clock ticks a process began at, so that no other one with its number is taken for it.
birth() {
  local line boot fields
  { line=$(<"/proc/$1/stat") && boot=$(</proc/sys/kernel/random/boot_id); } 2>/dev/null || return 1
  # The name of the program may hold blanks and brackets; starttime is the 20th field after it (proc(5)).
  read -ra fields <<<"${line##*) }"
  printf '%s %s' "$boot" "${fields[19]}"
}

# --- the supervisor ----------------------------------------------------------------------------------------------

# told: a signal came since this was last emptied.
stopping='' again='' told='' child='' nap=''

ask_child() { [[ -z $child ]] || kill -s "$1" "$child" 2>/dev/null; }

# shellcheck disable=SC2317 # called by traps
on_stop() {
  stopping=yes told=yes
  ask_child TERM
  [[ -z $nap ]] || kill "$nap" 2>/dev/null
}

# shellcheck disable=SC2317 # called by traps
on_restart() {
  again=yes told=yes
  ask_child TERM
  [[ -z $nap ]] || kill "$nap" 2>/dev/null
}

bound_log() {
  local bytes
  bytes=$(stat -c %s "$log" 2>/dev/null) || return 0
  ((bytes > log_bytes)) || return 0
  # The command holds the file open for appending, so it is copied and cut, not renamed.
  cp -f -- "$log" "$log.1" && : >"$log"
}

# rest MS: sleeps, but the end of the command or a signal ends it early, also one that has come since `told` was emptied.
rest() {
  sleep "$(seconds "$1")" 8>&- 9>&- &
  nap=$!
  # Before the number was known, the traps could not end it.
  [[ -z $told ]] || kill "$nap" 2>/dev/null
  # The shell reports a killed command on stderr; note() says it better.
  if [[ -n $child ]]; then wait -n "$child" "$nap" 2>/dev/null; else wait "$nap" 2>/dev/null; fi
  kill "$nap" 2>/dev/null
  wait "$nap" 2>/dev/null
  nap=''
}

# Returns when the command has ended. A command that ignores SIGTERM is killed when the patience is used up.
watch_child() {
  local asked=''
  while kill -0 "$child" 2>/dev/null; do
    told=''
    if [[ -n $stopping || -n $again ]]; then
      if [[ -z $asked ]]; then
        asked=$(monotonic)
        ask_child TERM
      elif (($(monotonic) - asked > patience)); then
        note "the command ($child) did not end within $(seconds "$patience") s; killing it"
        ask_child KILL
      fi
      rest 200
    else
      bound_log
      rest 15000
    fi
  done
}

supervise() {
  local pause=$first_pause begun lived status
  while [[ -z $stopping ]]; do
    again=''
    # A command that ends at once is not watched for long enough.
    bound_log
    begun=$(monotonic)
    "$@" >>"$log" 2>&1 </dev/null 8>&- 9>&- &
    child=$!
    printf '%d\n%d\n%s\n' "$$" "$child" "$(birth "$child")" >"$pidfile"
    tell_start
    watch_child
    wait "$child" 2>/dev/null
    status=$?
    child='' told=''
    [[ -n $stopping ]] && break
    if [[ -n $again ]]; then
      note 'restarting as asked'
      pause=$first_pause
      continue
    fi
    lived=$(($(monotonic) - begun))
    ((lived < steady)) || pause=$first_pause
    note "the command ended with status $status after $(seconds "$lived") s; starting it again in $(seconds "$pause") s"
    rest "$pause"
    pause=$((pause * 2 > last_pause ? last_pause : pause * 2))
  done
  : >"$pidfile"
  note 'stopped'
}

# Says once that the command was started, to the `start` that waits at the other end of pipe 8, if one does.
tell_start() {
  (trap '' PIPE; printf 'started\n' >&8) 2>/dev/null
  exec 8>&-
}

# Takes the lock. A reader's lock lasts an instant and is waited for. A supervisor's is not: whoever waited for it would
# start the command again just when somebody stops it.
take_lock() {
  local attempt
  for attempt in {1..20}; do
    flock --nonblock 9 && return 0
    names_supervisor && break
    sleep 0.05
  done
  printf 'supervise: already running: %s (attempt %d)\n' "$(status)" "$attempt" >&2
  return "$busy"
}

# end_orphan PID BIRTH: ends a command that goes on although its supervisor was killed. Two of it would be in each
# other's way, and nobody would start this one again. Until it has ended, the pidfile goes on naming it.
end_orphan() {
  [[ $1 =~ ^[0-9]+$ && -n $2 && $(birth "$1") == "$2" ]] || return 0
  printf '%d\n%d\n%s\n' "$$" "$1" "$2" >"$pidfile"
  note "ending the command ($1) of a supervisor that was killed"
  kill -TERM "$1"
  local limit=$(($(monotonic) + patience))
  while [[ $(birth "$1") == "$2" ]]; do
    (($(monotonic) < limit)) || kill -KILL "$1" 2>/dev/null
    sleep 0.1
  done
}

run() {
  exec 9>>"$pidfile" || exit 1
  take_lock || exit
  trap on_stop TERM INT
  trap on_restart USR1
  trap '' HUP
  local orphan=() line
  while IFS= read -r line; do orphan+=("$line"); done <"$pidfile"
  : >"$pidfile"
  cd / || exit 1
  end_orphan "${orphan[1]:-}" "${orphan[2]:-}"
  supervise "$@"
}

# --- verbs -------------------------------------------------------------------------------------------------------

start() {
  if held; then
    printf 'supervise: already running: %s\n' "$(status)" >&2
    return "$busy"
  fi
  (umask 027 && : >>"$log") || return 1
  # Its supervisor says that the command was started, or closes the pipe where another one was first. Whoever went away
  # before that would leave one behind that comes late and starts the command although it has been stopped meanwhile.
  # A command that is left from before may take its time to end.
  local said='' limit
  limit=$(seconds $((patience + 10000)))
  read -r -t "$limit" said < <(
    setsid --fork "$BASH" "${BASH_SOURCE[0]}" run "${arguments[@]}" 8>&1 </dev/null >>"$log" 2>&1
  )
  local status=$?
  [[ $said != started ]] || return 0
  if ((status > 128)); then
    printf 'supervise: not started within %s s; see %s\n' "$limit" "$log" >&2
    return 1
  fi
  if held; then
    printf 'supervise: already running: %s\n' "$(status)" >&2
    return "$busy"
  fi
  printf 'supervise: not started; see %s\n' "$log" >&2
  return 1
}

stop() {
  # One that holds the lock and names no process has not been stopped.
  read_pids || { ! held; return; }
  kill -TERM "$supervisor" 2>/dev/null
  local limit=$(($(monotonic) + patience + 5000)) holder
  while held; do
    # A start that waited for this moment may hold it by now: what was to be stopped has ended.
    read -r holder <"$pidfile" && [[ $holder != "$supervisor" ]] && return 0
    if (($(monotonic) > limit)); then
      printf 'supervise: process %s does not end\n' "$supervisor" >&2
      return 1
    fi
    sleep 0.1
  done
}

restart() {
  read_pids || { printf 'supervise: not running\n' >&2; return 3; }
  local before=$command_pid limit=$(($(monotonic) + patience + 5000))
  kill -USR1 "$supervisor"
  while [[ $command_pid == "$before" ]]; do
    if (($(monotonic) > limit)); then
      printf 'supervise: process %s was not replaced\n' "$before" >&2
      return 1
    fi
    sleep 0.1
    read_pids || { printf 'supervise: stopped meanwhile\n' >&2; return 1; }
  done
}

status() {
  if read_pids; then
    printf 'running, supervisor %d, command %d\n' "$supervisor" "$command_pid"
  else
    printf 'not running\n'
    return 3
  fi
}

main() {
  local verb=${1:-}
  (($# > 0)) && shift
  arguments=("$@")
  pidfile='' log='' first_pause=1000 last_pause=30000 steady=60000 patience=30000 log_bytes=8388608
  while (($# > 0)) && [[ $1 != -- ]]; do
    (($# >= 2)) || usage
    case $1 in
      --pidfile) pidfile=$2 ;;
      --log) log=$2 ;;
      --first-pause | --last-pause | --steady | --patience | --log-bytes)
        [[ $2 =~ ^[0-9]{1,12}$ ]] || usage
        local name=${1#--}
        printf -v "${name//-/_}" '%d' "$((10#$2))"
        ;;
      *) usage ;;
    esac
    shift 2
  done
  [[ ${1:-} == -- ]] && shift
  [[ -n $pidfile ]] || usage
  pidfile=$(realpath -m -- "$pidfile")
  [[ -z $log ]] || log=$(realpath -m -- "$log")
  case $verb in
    start | run) { [[ -n $log ]] && (($# > 0)); } || usage ;;
    *) (($# == 0)) || usage ;;
  esac
  case $verb in
    start) start ;;
    run) run "$@" ;;
    stop) stop ;;
    restart) restart ;;
    status) status ;;
    *) usage ;;
  esac
  exit
}

main "$@"
