# shellcheck shell=bash
# The program: built from this source tree, laid beside its predecessor and switched to in one rename.
#
#   PREFIX/programs/VERSION-FINGERPRINT/   dist/, compose/, nginx/, docs/, packaging/, install.sh
#   PREFIX/program → programs/…            what runs
#   PREFIX/previous → programs/…           what ran before it
#   PREFIX/trial/                          while an update is on trial: what to go back to (packaging/trial.sh)
#   PREFIX/bin/appliance                   the command
#   PREFIX/root                            the root that it was installed for, for --uninstall without --root
#   LIB/installation                       what install.sh made outside of PREFIX and the root, for --uninstall

readonly SHIPPED=(package.json install.sh packaging compose nginx grafana prometheus docs)
readonly BUILT_FROM=(package-lock.json build.js tsconfig.json scripts src)

sources() {
  local item
  for item in "${SHIPPED[@]}" "${BUILT_FROM[@]}"; do
    if [[ -e $SOURCE/$item ]]; then printf '%s\n' "$item"; fi
  done
}

# One number for everything that the program is made from, modes included.
fingerprint() {
  local items
  mapfile -t items < <(sources)
  (
    cd -- "$SOURCE" || exit 1
    find "${items[@]}" -type f ! -path '*/__pycache__/*' -printf '%m %p\n' | LC_ALL=C sort
    find "${items[@]}" -type f ! -path '*/__pycache__/*' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
  ) | sha256sum | cut -c 1-12
}

record() {
  mkdir -p -- "$(dirname -- "$RECORD")"
  grep -qxF -- "$*" "$RECORD" 2>/dev/null || printf '%s\n' "$*" >>"$RECORD"
}

program_id() {
  printf '%s-%s' "$(sed -n 's/^  "version": "\([^"]*\)".*/\1/p' "$SOURCE/package.json")" "$(fingerprint)"
}

look_at_program() {
  [[ $WITH_PROGRAM == yes ]] || return 0
  PROGRAM_ID=$(program_id)
  if [[ $(readlink -- "$PREFIX/program" 2>/dev/null) != "programs/$PROGRAM_ID" ]]; then
    need program "build the program $PROGRAM_ID and switch $PREFIX/program to it"
  fi
  if [[ $(launcher) != "$(cat "$PREFIX/bin/appliance" 2>/dev/null)" ]]; then
    need launcher "write the commands $PREFIX/bin/appliance, appliance-start and appliance-service"
  fi
  if [[ -z $ROOT && $(readlink -- "$COMMAND_LINK" 2>/dev/null) != "$PREFIX/bin/appliance" ]]; then
    if [[ -e $COMMAND_LINK && ! -L $COMMAND_LINK ]]; then
      refuse 1 "$COMMAND_LINK exists and is not ours" "move it away, or install with --root"
    else
      need link "link $COMMAND_LINK to it"
    fi
  fi
  look_at_groups
}

look_at_groups() {
  local group
  for group in appliance appliance-view; do
    getent group "$group" >/dev/null || need "group_$group" "create the group $group"
  done
}

build_program() {
  local tree="$WORK/tree" items item
  mkdir -p "$tree"
  mapfile -t items < <(sources)
  for item in "${items[@]}"; do cp -R --preserve=mode -- "$SOURCE/$item" "$tree/" || return 1; done
  if (cd -- "$SOURCE" && "$PREFIX/runtime/bin/node" scripts/dependencies-current.js); then
    ln -s -- "$SOURCE/node_modules" "$tree/node_modules"
  else
    (cd -- "$tree" && PATH="$PREFIX/runtime/bin:$PATH" run 'Fetching the packages that the program is built from' \
      scripts/install-dependencies.sh) || return 1
  fi
  (cd -- "$tree" && run 'Building the program' "$PREFIX/runtime/bin/node" build.js)
}

install_program() {
  needed program || return 0
  local to="$PREFIX/programs/$PROGRAM_ID" new="$PREFIX/programs/.new" item before
  build_program || die 1 'the program could not be built' 'the log says why; what ran before still runs'
  STEP='laying down the program'
  rm -rf -- "$new"
  mkdir -p -- "$new"
  for item in "${SHIPPED[@]}" dist; do
    if [[ -e $WORK/tree/$item ]]; then cp -R --preserve=mode -- "$WORK/tree/$item" "$new/" || die 1 "$new cannot be written"; fi
  done
  chmod -R go=rX -- "$new"
  rm -rf -- "$to"
  mv -T -- "$new" "$to"
  before=$(readlink -- "$PREFIX/program")
  if [[ -n $before ]]; then switch_link previous "$before"; fi
  switch_link program "programs/$PROGRAM_ID"
  changed "installed the program $PROGRAM_ID"
  remove_old_programs
}

# switch_link NAME TARGET: in one rename.
switch_link() {
  ln -sfn -- "$2" "$PREFIX/$1.new" && mv -T -- "$PREFIX/$1.new" "$PREFIX/$1"
}

# The one before stays, so that a bad upgrade can be taken back: it is not always the newest of the others.
remove_old_programs() {
  local old before
  before=$(basename -- "$(readlink -- "$PREFIX/previous")")
  while IFS= read -r old; do rm -rf -- "$old"; done < <(
    find "$PREFIX/programs" -mindepth 1 -maxdepth 1 -type d ! -name "$PROGRAM_ID" ! -name "${before:-.}"
  )
}

# A shell wrapper costs 1 ms and lets a moved root be found without the caller's help.
launcher() {
  printf '#!/bin/sh\n'
  # shellcheck disable=SC2016 # expanded when the launcher runs
  if [[ -n $ROOT ]]; then printf 'export APPLIANCE_ROOT="${APPLIANCE_ROOT-%s}"\n' "$ROOT"; fi
  # One arena of malloc instead of one for each thread: an agent after eight operations keeps 7 MB less (57 of 64 MB).
  printf 'export MALLOC_ARENA_MAX=1\n'
  # Before an agent starts: whether an update on trial is to be taken back.
  # shellcheck disable=SC2016
  printf '[ "${1-}" != agent ] || [ ! -x "%s/trial/guard" ] || "%s/trial/guard" "$@"\n' "$PREFIX" "$PREFIX"
  # shellcheck disable=SC2016
  printf 'exec "%s/runtime/bin/node" "%s/program/dist/appliance.js" "$@"\n' "$PREFIX" "$PREFIX"
}

service_launcher() {
  local option quoted=''
  for option in "${SERVICE_OPTIONS[@]}"; do quoted+=" \"$option\""; done
  # shellcheck disable=SC2016
  printf '#!/bin/sh\nexec "%s/program/packaging/service.sh" %s%s\n' "$PREFIX" "$1" "$quoted"
}

# write_command NAME: stdin becomes PREFIX/bin/NAME, in one rename.
write_command() {
  cat >"$PREFIX/bin/.$1" && chmod 0755 "$PREFIX/bin/.$1" && mv -T -- "$PREFIX/bin/.$1" "$PREFIX/bin/$1"
}

install_commands() {
  local group
  mkdir -p -- "$PREFIX/bin"
  if needed launcher; then
    launcher | write_command appliance
    service_launcher start | write_command appliance-start
    # shellcheck disable=SC2016
    service_launcher '"${1:-status}"' | write_command appliance-service
    changed "wrote the commands in $PREFIX/bin"
  fi
  printf '%s\n' "$ROOT" >"$PREFIX/root"
  if needed link; then
    ln -sfn -- "$PREFIX/bin/appliance" "$COMMAND_LINK"
    record "link $COMMAND_LINK"
    changed "linked $COMMAND_LINK"
  fi
  for group in appliance appliance-view; do
    needed "group_$group" || continue
    if groupadd --system "$group"; then
      record "group $group"
      changed "created the group $group"
    else
      # An installation with another prefix may have made it since this one looked.
      getent group "$group" >/dev/null || die 1 "the group $group could not be created"
    fi
  done
  mkdir -p -- "$ETC_DIR" "$LIB_DIR" "$LOG_DIR"
  # A first start compiles everything; afterwards V8 finds its work in the cache.
  if needed program; then
    run 'Starting it for the first time' "$PREFIX/bin/appliance" --help ||
      die 1 'the program was installed but does not start' "try: $PREFIX/bin/appliance --help"
  fi
}
