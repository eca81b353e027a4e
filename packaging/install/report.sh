# shellcheck shell=bash
# How install.sh speaks: one line per step with the time since the start, the output of commands in the log, and on
# failure what was changed so far and how to go on.

# Set by install.sh: LOG_FILE (empty until something may be written), COMMAND_LINE, CHANGES, STEP.

clock() { printf '%d:%02d' "$((SECONDS / 60))" "$((SECONDS % 60))"; }

log() { [[ -z $LOG_FILE ]] || printf '%s %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$*" >>"$LOG_FILE"; }

say() {
  printf '[%5s] %s\n' "$(clock)" "$*"
  log "$*"
}

warn() { say "note: $*"; }

# changed TEXT: from here on this is part of what a failure reports.
changed() {
  CHANGES+=("$1")
  log "changed: $1"
}

# die EXIT MESSAGE [HINT]: the trap of install.sh adds what was changed.
die() {
  printf '\ninstall.sh: %s\n' "$2" >&2
  [[ -z ${3:-} ]] || printf '  %s\n' "$3" >&2
  log "failed: $2"
  FAILURE_SAID=yes
  exit "$1"
}

# begin_log FILE: keeps one older log, so that neither grows without bound.
begin_log() {
  mkdir -p -- "$(dirname -- "$1")" || die 1 "the directory of the log $1 cannot be made"
  if [[ $(stat -c %s "$1" 2>/dev/null || echo 0) -gt 1048576 ]]; then mv -f -- "$1" "$1.1"; fi
  (umask 027 && : >>"$1") || die 1 "the log $1 cannot be written"
  LOG_FILE=$1
  log "--- $COMMAND_LINE"
}

# run TEXT COMMAND...: output to the log, the time on the screen, a sign of life every 15 seconds. Returns the status.
run() {
  local text=$1 begun=$SECONDS said=$SECONDS status words
  shift
  STEP=$text
  say "$text"
  log "\$ $*"
  "$@" >>"${LOG_FILE:-/dev/null}" 2>&1 </dev/null {LOCK}<&- &
  RUNNING=$!
  while kill -0 "$RUNNING" 2>/dev/null; do
    sleep 0.2
    if ((SECONDS - said >= 15)); then
      said=$SECONDS
      words=$(last_words)
      printf '[%5s]   still at it (%d s)%s\n' "$(clock)" "$((SECONDS - begun))" "${words:+: $words}"
    fi
  done
  wait "$RUNNING"
  status=$?
  RUNNING=''
  log "status $status after $((SECONDS - begun)) s"
  return "$status"
}

# The last line that the running command has said, fit for one line of a terminal; nothing while it has said nothing, and
# the log ends with the command line.
last_words() { tail -n 1 "${LOG_FILE:-/dev/null}" 2>/dev/null | grep -av '^[0-9T:-]*Z [$] ' | tr -cd '[:print:]' | cut -c 1-100; }

log_tail() { [[ -z $LOG_FILE ]] || tail -n "${1:-12}" "$LOG_FILE" | sed 's/^/    /'; }

# The EXIT trap. Speaks only when something went wrong.
report_end() {
  local status=$?
  trap - EXIT INT TERM
  if [[ -n ${RUNNING:-} ]]; then
    kill -TERM "$RUNNING" 2>/dev/null
    # Else it would go on writing below what is removed here.
    wait "$RUNNING" 2>/dev/null
  fi
  if [[ -n ${WORK:-} ]]; then rm -rf -- "$WORK"; fi
  ((status == 0)) && exit 0
  if [[ -z ${FAILURE_SAID:-} ]]; then printf '\ninstall.sh: stopped (status %d) at: %s\n' "$status" "$STEP" >&2; fi
  if [[ -z $LOG_FILE ]]; then
    ((status == 2)) || printf '  Nothing was changed.\n' >&2
    exit "$status"
  fi
  {
    if ((${#CHANGES[@]} > 0)); then
      printf '\nChanged so far, and left as it is:\n'
      printf '  - %s\n' "${CHANGES[@]}"
    else
      printf '\nNothing was changed, apart from the log.\n'
    fi
    printf 'To go on: remove the cause, then run again:  %s\n' "$COMMAND_LINE"
    printf '  (what is done already is not done twice; to take everything back: %s --uninstall)\n' "${COMMAND_LINE%% *}"
    printf 'Log: %s; its last lines:\n' "$LOG_FILE"
    log_tail 8
  } >&2
  exit "$status"
}
