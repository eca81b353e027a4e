#!/usr/bin/env bash
# Installs the appliance on this host: looks first (nothing is changed), then installs, then starts.
# `./install.sh --help` lists the options; docs/guide/install.md explains them.

# The braces make the shell read all of it before it runs any of it: a copy that was cut off does nothing.
{
set -uo pipefail

usage() {
  cat <<'TEXT'
Usage: sudo ./install.sh [options]

  --demo         also build, configure and deploy the reference application (http://127.0.0.1:8080)
  --check        say what would be done, change nothing
  --prefix DIR   program and private Node.js (default /opt/appliance)
  --root DIR     configuration, state, sockets and logs under DIR/{etc,lib,run,log} instead of
                 /etc/appliance, /var/lib/appliance, /run/appliance and /var/log/appliance
  --prepare      only what the program needs: packages, Node.js, Docker Engine, Compose, images
      --no-engine      of these, only packages and Node.js
      --with PKG       one more Debian package; may be repeated
  --stop-engine  stop an engine that --prepare or an install has started
  --restore REPOSITORY   make this host the appliance of a snapshot: a directory, or a target of restic
      --key-file FILE    file with the recovery key
      --snapshot ID      which one; default: the latest
  --uninstall    stop and remove everything except data; engine and packages stay
      --purge          data, volumes and images as well; asks, or takes --yes
  --id           print the version and the fingerprint of this program, which name what would be installed
  --yes          answer every question with yes
  --help         this text

Running it again does what is still missing. Exit: 0 done or nothing to do, 1 refused or failed,
2 usage or configuration, 5 another --uninstall runs, 7 not root, 8 the Docker Engine or the agent does not start.
TEXT
}

usage_error() {
  printf 'install.sh: %s\n\n' "$1" >&2
  usage >&2
  exit 2
}

# absolute DIR: without a trailing slash; the directory need not exist. Characters that would need quoting in the
# launchers and in the systemd unit are refused.
absolute() {
  local path
  path=$(realpath -ms -- "$1")
  [[ $path =~ ^/[A-Za-z0-9._/@+-]+$ ]] || usage_error "the directory '$1' is the root directory or has characters other than letters, digits and ._/@+-"
  printf '%s' "$path"
}

set_root() {
  ROOT=$1
  if [[ -n $ROOT ]]; then ETC_DIR=$ROOT/etc LIB_DIR=$ROOT/lib RUN_DIR=$ROOT/run LOG_DIR=$ROOT/log
  else ETC_DIR=/etc/appliance LIB_DIR=/var/lib/appliance RUN_DIR=/run/appliance LOG_DIR=/var/log/appliance; fi
  SERVICE_OPTIONS=(--prefix "$PREFIX")
  if [[ -n $ROOT ]]; then SERVICE_OPTIONS+=(--root "$ROOT"); fi
  RECORD=$LIB_DIR/installation
  # What --prepare starts belongs to no appliance; its traces lie beside what it has made.
  if [[ $MODE == prepare || $MODE == stop-engine ]]; then
    LOG_DIR=$PREFIX/log RECORD=$PREFIX/installation
    SERVICE_OPTIONS=(--prefix "$PREFIX" --run "$PREFIX/run" --log "$PREFIX/log")
  fi
}

parse() {
  local root=''
  MODE=install PREFIX=/opt/appliance WITH_DEMO=no WITH_ENGINE=yes CHECK=no PURGE=no ASSUME_YES=no EXTRA_PACKAGES=() RESTORE='' KEY_FILE='' SNAPSHOT=latest
  while (($# > 0)); do
    case $1 in
      --demo) WITH_DEMO=yes ;;
      --check) CHECK=yes ;;
      --prepare | --uninstall | --stop-engine | --id) MODE=${1#--} ;;
      --no-engine) WITH_ENGINE=no ;;
      --purge) PURGE=yes ;;
      --yes) ASSUME_YES=yes ;;
      --help) usage; exit 0 ;;
      --prefix | --root | --with | --restore | --key-file | --snapshot)
        [[ -n ${2:-} && $2 != --* ]] || usage_error "$1 needs a value"
        case $1 in
          --prefix) PREFIX=$(absolute "$2") || exit 2 ;;
          --root) root=$(absolute "$2") || exit 2 ;;
          --restore) RESTORE=$2 ;;
          --key-file) KEY_FILE=$2 ;;
          --snapshot) SNAPSHOT=$2 ;;
          --with)
            [[ $2 =~ ^[a-z0-9][a-z0-9+.-]+$ ]] || usage_error "'$2' is not the name of a package"
            EXTRA_PACKAGES+=("$2")
            ;;
        esac
        shift
        ;;
      *) usage_error "unknown option $1" ;;
    esac
    shift
  done
  [[ $PURGE == no || $MODE == uninstall ]] || usage_error '--purge goes with --uninstall'
  [[ $WITH_DEMO == no || $MODE == install ]] || usage_error "--demo does not go with --$MODE"
  [[ $CHECK == no || $MODE == install || $MODE == prepare ]] || usage_error "--check does not go with --$MODE"
  [[ $WITH_ENGINE == yes || $MODE == prepare ]] || usage_error '--no-engine goes with --prepare'
  if [[ -n $RESTORE ]]; then
    [[ $MODE == install && $WITH_DEMO == no ]] || usage_error '--restore goes with an install, without --demo'
    [[ -r $KEY_FILE ]] || usage_error '--restore needs --key-file FILE, a file that can be read'
  fi
  [[ -n $RESTORE || (-z $KEY_FILE && $SNAPSHOT == latest) ]] || usage_error '--key-file and --snapshot go with --restore'
  WITH_PROGRAM=no WITH_IMAGES=no
  if [[ $MODE == install ]]; then WITH_PROGRAM=yes; fi
  # Without the edge no application can be deployed, whoever it belongs to.
  if [[ $MODE == install ]]; then WITH_IMAGES=edge; fi
  if [[ $WITH_DEMO == yes || -n $RESTORE || ($MODE == prepare && $WITH_ENGINE == yes) ]]; then WITH_IMAGES=all; fi
  set_root "$root"
}

look() {
  STEP='looking at this host'
  look_at_caller
  look_at_system
  look_at_runtime
  look_at_packages
  look_at_engine
  look_at_images
  look_at_program
  look_at_demo
  look_at_restore
  look_at_agent
  look_at_stack
  if needed deploy; then look_at_ports; fi
  look_at_space
  if ((${#REFUSALS[@]} > 0)); then
    print_look 'Would be done otherwise'
    printf '\nNothing was changed.\n' >&2
    FAILURE_SAID=yes
    trap - EXIT
    exit "$REFUSAL_EXIT"
  fi
  if ((${#PLAN[@]} == 0)); then
    print_look ''
    say 'nothing to change'
  elif [[ $CHECK == yes ]]; then
    print_look 'Would be done'
  else
    print_look 'Will be done'
    printf '\n'
  fi
}

install() {
  mkdir -p -- "$PREFIX" || die 1 "$PREFIX cannot be made"
  WORK=$(mktemp -d "$PREFIX/work.XXXXXX") || die 1 "$PREFIX cannot be written"
  # Readable for apt's own user.
  chmod 0755 "$WORK"
  # Not root's own: 200 MB would stay behind there.
  export npm_config_cache="$WORK/npm-cache"
  install_packages
  install_unpackers
  install_runtime
  install_compose
  start_engine
  install_images
  [[ $WITH_PROGRAM == yes ]] || return 0
  install_program
  install_commands
  install_demo_files
}

start() {
  [[ $WITH_PROGRAM == yes ]] || return 0
  restore_host
  start_agent
  start_stack
  deploy_demo
}

say_done() {
  if ((${#PLAN[@]} > 0)); then say "done in $(clock); log: $LOG_FILE"; fi
  if [[ $WITH_DEMO == yes ]]; then
    say_demo
  elif [[ $MODE == install && ! -e $ETC_DIR/appliance.yaml ]]; then
    printf '\nNext: go to your Compose project and run  %s init\n' "$PREFIX/bin/appliance"
  fi
  if [[ $MODE == install && $INIT_NAME != systemd ]]; then
    printf '\nProcess 1 is not systemd: after a reboot run  %s/bin/appliance-start  (docs/guide/install.md has a cron line for it).\n' "$PREFIX"
  fi
}

main() {
  SOURCE=$(cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")" && pwd) || exit 1
  readonly SOURCE COMMAND_LINK=/usr/local/bin/appliance
  COMMAND_LINE="$0 $*"
  LOG_FILE='' STEP='reading the command line' RUNNING='' WORK='' FAILURE_SAID='' INIT_NAME=$(cat /proc/1/comm)
  LOCKED=no
  exec {LOCK}</dev/null
  CHANGES=() REFUSALS=() REFUSAL_EXIT=0 PLAN=() NOTES=()
  PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
  export LC_ALL=C.UTF-8
  umask 022

  # shellcheck source=packaging/install/report.sh
  . "$SOURCE/packaging/install/report.sh"
  # shellcheck source=packaging/install/lock.sh
  . "$SOURCE/packaging/install/lock.sh"
  # shellcheck source=packaging/install/look.sh
  . "$SOURCE/packaging/install/look.sh"
  # shellcheck source=packaging/install/packages.sh
  . "$SOURCE/packaging/install/packages.sh"
  # shellcheck source=packaging/install/runtime.sh
  . "$SOURCE/packaging/install/runtime.sh"
  # shellcheck source=packaging/install/engine.sh
  . "$SOURCE/packaging/install/engine.sh"
  # shellcheck source=packaging/install/images.sh
  . "$SOURCE/packaging/install/images.sh"
  # shellcheck source=packaging/install/program.sh
  . "$SOURCE/packaging/install/program.sh"
  # shellcheck source=packaging/install/start.sh
  . "$SOURCE/packaging/install/start.sh"
  # shellcheck source=packaging/install/demo.sh
  . "$SOURCE/packaging/install/demo.sh"
  # shellcheck source=packaging/install/restore.sh
  . "$SOURCE/packaging/install/restore.sh"
  # shellcheck source=packaging/install/uninstall.sh
  . "$SOURCE/packaging/install/uninstall.sh"

  parse "$@"
  trap report_end EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP

  case $MODE in
    id)
      trap - EXIT
      printf '%s\n' "$(program_id)"
      exit
      ;;
    stop-engine)
      "$SOURCE/packaging/service.sh" stop-engine "${SERVICE_OPTIONS[@]}"
      trap - EXIT
      exit
      ;;
    uninstall)
      WORK=$(mktemp -d) || exit 1
      uninstall
      exit 0
      ;;
  esac
  [[ $CHECK == yes ]] || lock_prefix wait
  look
  if [[ $CHECK == yes ]]; then
    ((${#PLAN[@]} == 0)) || printf '\nNothing was changed (--check).\n'
    exit 0
  fi
  if ((${#PLAN[@]} > 0)); then
    mkdir -p -- "$PREFIX" 2>/dev/null && lock_prefix
    begin_log "$LOG_DIR/install.log"
    install
    start
  fi
  say_done
}

main "$@"
exit
}
