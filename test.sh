#!/usr/bin/env bash
# Prepares what is missing, runs every test and ends with the line "N passed, N failed, N skipped".
# `./test.sh --help` says what each part does.

set -uo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")" || exit 1

usage() {
  cat <<'TEXT'
Usage: ./test.sh [--fast | --thorough] [--only PART]...

  --fast        what needs no Docker Engine: the linters and the unit tests
  --thorough    kills the agent at every point of every operation; otherwise at a third of them, another one for
                another commit
  --only PART   one part alone; may be repeated. PART is lint, build, unit, integration, faults or e2e
  --help        this text

Missing packages, the Docker Engine and Node.js are installed by `./install.sh --prepare` (as root); Node.js goes to
.runtime/ in this directory. An engine that was started here is stopped again at the end.

After the last test the engine, the process table and this directory are compared with what was there before.
Containers, networks, volumes, processes or files that stayed behind count as a failed test. If others use the same
engine or directory meanwhile, set APPLIANCE_TEST_SHARED=1: what is new in those two is then listed, not counted.
TEXT
}

readonly runtime="$PWD/.runtime"
passed=0 failed=0 skipped=0
failures=()
parts=()
engine_was_up=no
scratch=

pass() { passed=$((passed + 1)); }
fail() { failed=$((failed + 1)); failures+=("$1"); printf 'FAILED  %s\n' "$1"; }
skip() { skipped=$((skipped + 1)); printf 'skipped %s\n' "$1"; }
heading() { printf '\n== %s (%d s)\n' "$1" "$SECONDS"; }

# check NAME COMMAND...: one command, one test. Its output is shown when it fails.
check() {
  local name=$1 output begun=$SECONDS
  shift
  if output=$("$@" 2>&1); then
    pass
    printf 'ok      %s (%d s)\n' "$name" "$((SECONDS - begun))"
  else
    printf '%s\n' "$output"
    fail "$name"
  fi
}

wants() { [[ " ${parts[*]} " == *" $1 "* ]]; }
wants_engine() { wants integration || wants faults || wants e2e; }

# --- what is missing ---------------------------------------------------------------------------------------------

recent_node() { [[ $(node -p 'process.versions.node.split(".")[0] >= 24' 2>/dev/null) == true ]]; }
engine_up() { timeout 10 docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }
compose_v2() { [[ $(timeout 10 docker compose version --short 2>/dev/null) =~ ^v?([2-9]|[1-9][0-9]) ]]; }

prepare() {
  heading prepare
  PATH="$runtime/runtime/bin:$PATH"
  local missing=() options=(--prefix "$runtime")
  recent_node || missing+=("Node.js 24")
  command -v npm >/dev/null || missing+=(npm)
  if wants lint && ! command -v shellcheck >/dev/null; then
    missing+=(shellcheck)
    options+=(--with shellcheck)
  fi
  # Planted payloads are written by the real pickle module and packed by the real programs.
  local program
  for program in python3 bzip2 xz:xz-utils lz4; do
    command -v "${program%:*}" >/dev/null && continue
    missing+=("${program%:*}")
    options+=(--with "${program#*:}")
  done
  if wants_engine; then
    engine_up && engine_was_up=yes
    [[ $engine_was_up == yes ]] || missing+=("a running Docker Engine")
    compose_v2 || missing+=("Compose v2")
    # Root lets install.sh look after all of it; others can build the images with what is there.
    ((EUID == 0)) && missing+=("images, where they changed")
  else
    options+=(--no-engine)
  fi
  if ((${#missing[@]} > 0)); then
    printf 'preparing: %s\n' "$(IFS=,; echo "${missing[*]}")"
    if ! ./install.sh --prepare "${options[@]}"; then
      # Linters that are absent are skipped one by one; without Node.js or an engine there is nothing to run.
      recent_node && ! wants_engine || return 1
    fi
    hash -r
  fi
  if wants_engine && ((EUID != 0)); then packaging/images.sh || return 1; fi
  flock "$runtime/npm.lock" scripts/install-dependencies.sh || return 1
  PATH="$PWD/node_modules/.bin:$PATH"
}

# --- parts -------------------------------------------------------------------------------------------------------

shell_scripts() { git ls-files -co --exclude-standard | while IFS= read -r file; do
  [[ -f $file ]] && head -c 60 "$file" | head -n 1 | grep -aqE '^#!.*\b(ba|da)?sh\b' && printf '%s\n' "$file"
done; }

run_lint() {
  heading lint
  # The compilers among them keep a cache; it belongs into the ignored directory.
  local -x NODE_COMPILE_CACHE="$runtime/compile-cache"
  if command -v shellcheck >/dev/null; then
    local scripts
    mapfile -t scripts < <(shell_scripts)
    check shellcheck shellcheck -xa "${scripts[@]}"
  else
    skip 'shellcheck (not installed; ./install.sh --prepare installs it as root)'
  fi
  check biome biome ci .
  check 'imports run downwards' depcruise src --config .dependency-cruiser.cjs
  check 'no dead code' knip
  check types tsc --noEmit
}

run_build() {
  heading build
  check build node build.js
}

# run_project NAME MINUTES: one vitest project. Its report says how many tests ran; none at all is a failure.
run_project() {
  local name=$1 minutes=$2 report="$scratch/$1.json" counts colour=()
  [[ -t 1 ]] || colour=(--no-color)
  heading "$name tests"
  timeout --kill-after=30 "${minutes}m" \
    vitest run "${colour[@]}" --project "$name" --reporter=default --reporter=json --outputFile.json="$report"
  local status=$?
  ((status == 124 || status == 137)) && printf 'the %s tests were stopped after %d minutes\n' "$name" "$minutes"
  if counts=$(node scripts/count-tests.js "$report" "$status"); then
    local names
    { read -r p f s; mapfile -t names; } <<<"$counts"
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    failures+=("${names[@]/#/$name: }")
  else
    fail "$name: no report (vitest ended with status $status)"
  fi
}

# --- nothing is left behind --------------------------------------------------------------------------------------

engine_inventory() {
  docker ps -a --no-trunc --format 'container {{.Names}} {{.ID}}'
  docker network ls --no-trunc --format 'network {{.Name}} {{.ID}}'
  docker volume ls --format 'volume {{.Name}}'
}

# Passes on what is left in the engine, except networks that it keeps although nobody is on them: one that removes many
# containers at once may lose count of them until it starts anew (moby 42119). In an engine with others none is asked to go.
without_miscounted() {
  local kind name id
  while read -r kind name id; do
    [[ ${APPLIANCE_TEST_SHARED:-} != 1 && $kind == network ]] &&
      [[ $(docker network inspect --format '{{len .Containers}}' "$id" 2>/dev/null) == 0 ]] &&
      docker network rm "$id" 2>&1 | grep -q 'has active endpoints' && continue
    printf '%s %s %s\n' "$kind" "$name" "$id"
  done
}

# What the tests may have written beside their own directory.
strays() { find /tmp -mindepth 1 -maxdepth 1 -name 'appliance*' ! -path "$scratch" -printf 'file %p\n'; }

# Processes that carry this run's mark in their environment, except this script and its own children.
leftover_processes() {
  local directory pid
  for directory in /proc/[0-9]*; do
    pid=${directory#/proc/}
    [[ $pid == "$$" || $pid == "$BASHPID" ]] && continue
    grep -aqzx "APPLIANCE_TEST_RUN=$APPLIANCE_TEST_RUN" "$directory/environ" 2>/dev/null || continue
    [[ $(ps -o ppid= -p "$pid" 2>/dev/null | tr -d ' ') =~ ^($$|$BASHPID)$ ]] && continue
    printf 'process %s %s\n' "$pid" "$(tr '\0' ' ' <"$directory/cmdline" 2>/dev/null | cut -c 1-120)"
  done
}

# Sets `left`, what counts, and `shared`, what others may have left.
look_for_leftovers() {
  left=$(leftover_processes)
  left+=$(find "$scratch/tmp" -mindepth 1 -maxdepth 1 ! -name node-compile-cache -printf '\nfile %p')
  shared=$(comm -13 "$scratch/files.before" <(git status --porcelain | sort) | sed 's/^/file in the repository: /')
  shared+=$'\n'$(comm -13 "$scratch/strays.before" <(strays | sort))
  if wants_engine; then
    shared+=$'\n'$(comm -13 "$scratch/engine.before" <(engine_inventory | sort) | without_miscounted)
  fi
  [[ ${APPLIANCE_TEST_SHARED:-} == 1 ]] || left+=$'\n'$shared
  left=$(printf '%s\n' "$left" | sed '/^$/d')
}

check_leftovers() {
  heading 'nothing is left behind'
  local left shared deadline=$((SECONDS + 30))
  look_for_leftovers
  # What the last tests have ended may take a moment to be gone.
  while [[ -n $left ]] && ((SECONDS < deadline)); do
    sleep 1
    look_for_leftovers
  done
  if [[ ${APPLIANCE_TEST_SHARED:-} == 1 ]]; then
    printf '%s\n' "$shared" | sed '/^$/d; s/^/new, perhaps not ours: /'
  fi
  if [[ -z $left ]]; then
    pass
    printf 'ok      nothing is left behind\n'
  else
    printf '%s\n' "$left"
    fail "left behind: $(printf '%s' "$left" | tr '\n' ';' | cut -c 1-300)"
  fi
}

# --- frame -------------------------------------------------------------------------------------------------------

# shellcheck disable=SC2317 # called by the trap
finish() {
  local status=$?
  trap - EXIT INT TERM
  if wants_engine && [[ $engine_was_up == no ]] && engine_up; then
    ./install.sh --stop-engine --prefix "$runtime" || failures+=("the engine that was started here did not stop")
  fi
  [[ -n $scratch ]] && rm -rf -- "$scratch"
  ((status != 0 && failed == 0)) && fail "test.sh ended early with status $status"
  if ((${#failures[@]} > 0)); then
    printf '\nFailures:\n'
    printf '  %s\n' "${failures[@]}"
  fi
  printf '\ntook %d s\n' "$SECONDS"
  printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
  # Said outright: without a number, a trap ends with the status from before it.
  exit $((failed > 0 || passed == 0))
}

main() {
  local only=() fast=no
  while (($# > 0)); do
    case $1 in
      --fast) fast=yes ;;
      --thorough) export APPLIANCE_TEST_DEATHS=all ;;
      --only)
        [[ ${2:-} =~ ^(lint|build|unit|integration|faults|e2e)$ ]] || { usage >&2; exit 2; }
        only+=("$2")
        shift
        ;;
      --help) usage; exit 0 ;;
      *) printf 'test.sh: unknown option %s\n\n' "$1" >&2; usage >&2; exit 2 ;;
    esac
    shift
  done
  if ((${#only[@]} > 0)); then parts=("${only[@]}")
  elif [[ $fast == yes ]]; then parts=(lint unit)
  else parts=(lint build unit integration faults e2e); fi

  trap finish EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  exec </dev/null
  mkdir -p "$runtime"
  scratch=$(mktemp -d /tmp/appliance-test.XXXXXX)
  mkdir "$scratch/tmp"
  # Some tests act for other users, who must get as far as the files that they may read.
  chmod 755 "$scratch"
  export CI=true

  prepare || { fail prepare; exit 1; }
  # After the preparation, so that an engine started there does not count as left behind.
  export TMPDIR="$scratch/tmp" APPLIANCE_TEST_RUN="${scratch##*.}-$$"
  git status --porcelain | sort >"$scratch/files.before"
  strays | sort >"$scratch/strays.before"
  if wants_engine; then engine_inventory | sort >"$scratch/engine.before"; fi

  wants lint && run_lint
  if wants build || wants e2e; then run_build; fi
  wants unit && run_project unit 5
  wants integration && run_project integration 45
  wants faults && run_project faults 60
  wants e2e && run_project e2e 15
  check_leftovers
  exit 0
}

main "$@"
