# shellcheck shell=bash
# --uninstall [--purge]. The engine and the packages stay; the data stay unless --purge.

# stack KIND: what of the stack is in the engine, by the labels that Compose and the appliance give.
stack() {
  local kind=$1 project
  {
    for project in core blue green; do
      docker "$kind" ls --quiet --filter "label=com.docker.compose.project=$NAME-$project" "${@:2}"
    done
    docker "$kind" ls --quiet --filter "label=appliance.name=$NAME" "${@:2}"
  } 2>/dev/null | sort -u
}

confirm_purge() {
  [[ $ASSUME_YES == no ]] || return 0
  local answer
  [[ -t 0 ]] || die 2 '--purge deletes data and asks for a confirmation, but there is no terminal' 'say --yes to confirm'
  printf 'This deletes the data of %s: %s, its volumes, networks and images.\nType its name to go on: ' \
    "${NAME:-this appliance}" "$ETC_DIR $LIB_DIR $LOG_DIR"
  read -r answer
  [[ -n $answer && $answer == "${NAME:-appliance}" ]] || die 1 'not confirmed'
}

uninstall() {
  local key value
  KEPT_IMAGES=() KEPT_NETWORKS=()
  if [[ -z $ROOT && -r $PREFIX/root ]]; then set_root "$(<"$PREFIX/root")"; fi
  NAME=$(configured_name)
  ((EUID == 0)) || die 7 'this needs root' "run: sudo $COMMAND_LINE"
  if [[ ! -e $PREFIX/bin/appliance && ! -e $ETC_DIR && ! -e $LIB_DIR ]]; then
    say "nothing to change: there is no appliance under $PREFIX"
    exit 0
  fi
  [[ $PURGE == no ]] || confirm_purge
  lock_prefix
  begin_log "$LOG_DIR/install.log"
  # The loops below read a copy: the directory of the record may go away meanwhile.
  cp -- "$RECORD" "$WORK/installation" 2>/dev/null || : >"$WORK/installation"

  stop_all
  while read -r key value; do
    case $key in
      link) [[ $(readlink -- "$value") != "$PREFIX/bin/appliance" ]] || { rm -f -- "$value" && changed "removed $value"; } ;;
      unit)
        systemctl disable "$(basename -- "$value")" >>"$LOG_FILE" 2>&1
        rm -f -- "$value"
        systemctl daemon-reload
        changed "removed $value"
        ;;
    esac
  done <"$WORK/installation"
  [[ $PURGE == no ]] || purge
  STEP='removing the program'
  rm -rf -- "${PREFIX:?}"/{bin,program,previous,programs,trial,runtime,root,images.stamp,update.lock,update.lock.holder} "${PREFIX:?}"/unpacked.*
  rmdir -- "$PREFIX" 2>/dev/null
  say "Removed the program from $PREFIX"
  say_uninstalled
}

stop_all() {
  if [[ -x $PREFIX/program/packaging/service.sh ]] && service status >/dev/null 2>&1; then
    run 'Stopping the agent' service stop || warn 'the agent did not stop; going on'
    changed 'stopped the agent'
  fi
  [[ -n $NAME ]] || return 0
  if ! engine_up; then
    warn 'the Docker Engine does not answer, so containers of the stack were neither stopped nor removed'
    return 0
  fi
  local containers networks network
  mapfile -t containers < <(stack container --all)
  if ((${#containers[@]} > 0)); then
    run "Stopping and removing ${#containers[@]} containers" docker container stop --time 20 "${containers[@]}"
    run 'Removing them' docker container rm --force "${containers[@]}"
    changed "removed ${#containers[@]} containers"
  fi
  mapfile -t networks < <(stack network)
  # One that somebody else is on stays. So does one that the engine has lost count of, until it starts anew (moby 42119).
  for network in "${networks[@]}"; do
    network=$(docker network inspect --format '{{.Name}}' "$network" 2>/dev/null) || continue
    run "Removing the network $network" docker network rm "$network" || KEPT_NETWORKS+=("$network")
  done
}

# Other appliances on this host: an agent (ours has been stopped), release images under another name.
other_agents() { grep -aqlE 'dist/appliance\.js.agent' /proc/[0-9]*/cmdline 2>/dev/null; }
other_images() {
  docker image ls --format '{{.Repository}}' 'appliance.local/*/*' 2>/dev/null | grep -qv "^appliance\.local/$NAME/"
}

# The image that the core of this appliance is pinned to; a rebuilt edge has taken its name away.
pinned_edge() {
  sed -n 's/.*"edge":[[:space:]]*"\(sha256:[0-9a-f]\{64\}\)".*/\1/p' "$LIB_DIR/core/definition.json" 2>/dev/null
}

# The images of this appliance's releases. Those that all appliances share go too if this one had them made and no other
# is there. All without force, so that what a container uses stays.
purge_images() {
  local images image
  mapfile -t images < <({
    [[ -z $NAME ]] || docker image ls --format '{{.Repository}}:{{.Tag}}' "appliance.local/$NAME/*"
    if ! other_agents && ! other_images; then
      ! grep -qx 'images shared' "$WORK/installation" || shared_images all
      sed -n 's/^image //p' "$WORK/installation"
      # Only where no name is left: under one, somebody else had it made.
      image=$(pinned_edge)
      [[ -z $image || $(docker image inspect --format '{{len .RepoTags}}' "$image") != 0 ]] || printf '%s\n' "$image"
    fi
  } 2>/dev/null | sort -u)
  # Some are recorded and gone already, or stand twice under different names.
  ((${#images[@]} == 0)) || run 'Removing images that nothing else uses' docker image rm "${images[@]}"
  for image in "${images[@]}"; do
    [[ -z $(image_id "$image") ]] || KEPT_IMAGES+=("$image")
  done
}

purge() {
  local volumes key value
  if [[ -n $NAME ]] && engine_up; then
    mapfile -t volumes < <(stack volume)
    if ((${#volumes[@]} > 0)); then
      run "Removing ${#volumes[@]} volumes" docker volume rm "${volumes[@]}"
      changed "removed ${#volumes[@]} volumes"
    fi
  fi
  if engine_up; then purge_images; fi
  while read -r key value; do
    case $key in
      group) other_agents || { groupdel "$value" >>"$LOG_FILE" 2>&1 && changed "removed the group $value"; } ;;
    esac
  done <"$WORK/installation"
  STEP='removing data'
  local keep_run=no
  ! "$SOURCE/packaging/supervise.sh" status --pidfile "$RUN_DIR/engine.pid" >/dev/null 2>&1 || keep_run=yes
  rm -rf -- "$ETC_DIR" "$LIB_DIR"
  if [[ $keep_run == yes ]]; then
    # The engine goes on under its supervisor, which needs its pidfile and its log.
    find "$RUN_DIR" "$LOG_DIR" -mindepth 1 ! -name 'engine.*' ! -name install.log -delete 2>/dev/null
    rm -f -- "$LOG_DIR/install.log"
  else
    rm -rf -- "$RUN_DIR" "$LOG_DIR"
  fi
  [[ -z $ROOT ]] || rmdir -- "$ROOT" 2>/dev/null
  LOG_FILE=''
  say "Removed data, volumes$(engine_up && printf ' and images')"
}

say_uninstalled() {
  local kept=() directory
  for directory in "$ETC_DIR" "$LIB_DIR" "$LOG_DIR" "$RUN_DIR"; do [[ ! -e $directory ]] || kept+=("$directory"); done
  if [[ $PURGE == no ]]; then
    printf '\nKept: %s and the volumes. install.sh takes them up again, --uninstall --purge deletes them.\n' "${kept[*]}"
  elif ((${#kept[@]} > 0)); then
    printf '\nKept: %s, with pidfile and log of the engine, which goes on under its supervisor.\n' "${kept[*]}"
  fi
  if ((${#KEPT_NETWORKS[@]} > 0)); then
    printf 'Kept, because somebody is on them or the engine says so: the networks %s\n' "${KEPT_NETWORKS[*]}"
    printf 'When nobody is: docker network rm %s; an engine that refuses does it after a restart.\n' "${KEPT_NETWORKS[*]}"
  fi
  if ((${#KEPT_IMAGES[@]} > 0)); then printf 'Kept, because something uses them: the images %s\n' "${KEPT_IMAGES[*]}"; fi
  printf 'Left alone: the Docker Engine and all packages.\n'
  if [[ $INIT_NAME != systemd ]] && engine_up; then
    printf 'The engine goes on running; after a reboot nothing starts it any more.\n'
  fi
}
