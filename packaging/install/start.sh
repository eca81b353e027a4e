# shellcheck shell=bash
# Phase three: the agent, with systemd or supervised without it.

service() { "$PREFIX/program/packaging/service.sh" "$1" "${SERVICE_OPTIONS[@]}"; }

unit_text() {
  sed -e "s|@PREFIX@|$PREFIX|g" -e "s|@NAME@|${ROOT:-of this host}|" "$SOURCE/packaging/appliance.service"
}

unit_path() { printf '/etc/systemd/system/%s' "$("$SOURCE/packaging/service.sh" unit "${SERVICE_OPTIONS[@]}")"; }

agent_running() { "$SOURCE/packaging/service.sh" status "${SERVICE_OPTIONS[@]}" >/dev/null 2>&1; }

look_at_agent() {
  [[ $WITH_PROGRAM == yes ]] || return 0
  if [[ $INIT_NAME == systemd && $(unit_text) != "$(cat "$(unit_path)" 2>/dev/null)" ]]; then
    need unit "write the systemd unit $(unit_path)"
  fi
  if [[ $WITH_DEMO == no && -z $RESTORE && ! -e $ETC_DIR/appliance.yaml ]]; then
    NOTES+=("there is no $ETC_DIR/appliance.yaml yet, so the agent is not started; write one with: appliance init")
  elif ! agent_running; then
    need agent 'start the agent'
  elif needed program || needed unit; then
    need agent_restart 'restart the agent with the new program'
  fi
}

appliance() { "$PREFIX/bin/appliance" "$@"; }

# The tag of the release that is live; nothing when nothing is deployed. Fails when nobody can tell.
live_release() {
  local releases
  releases=$(appliance releases --json) || return 1
  "$PREFIX/runtime/bin/node" -e '
    const releases = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
    console.log(releases.find(({ state }) => state === "live")?.tag ?? "");
  ' <<<"$releases"
}

# After --uninstall the data know a live release, but its containers are gone. (With an engine that does not answer yet
# nobody can tell; the agent finds stopped containers by itself.) A first deploy that failed leaves a release that never
# was live: there is nothing to start then.
look_at_stack() {
  local name live
  # A recovery starts what it restores.
  [[ $WITH_PROGRAM == yes && -z $RESTORE ]] && releases_exist && engine_up || return 0
  name=$(configured_name)
  [[ -n $name && -z $(docker ps --all --quiet --filter "label=appliance.name=$name") ]] || return 0
  if live=$(live_release 2>/dev/null) && [[ -z $live ]]; then return 0; fi
  need stack 'start the stack of the release that was live'
}

start_stack() {
  needed stack || return 0
  local live
  if live=$(live_release 2>>"$LOG_FILE") && [[ -z $live ]]; then
    say 'Nothing is deployed yet, so there is no stack to start'
    return 0
  fi
  run 'Starting the stack' "$PREFIX/bin/appliance" up ||
    die 1 'the stack does not start' "try again: $PREFIX/bin/appliance up"
  changed 'started the stack'
}

configured_name() {
  sed -n 's/^name:[[:space:]]*["'\'']\{0,1\}\([a-z0-9-]*\).*/\1/p' "$ETC_DIR/appliance.yaml" 2>/dev/null | head -n 1
}

# A release that was deployed leaves its manifest in the state directory.
releases_exist() { [[ -n $(find "$LIB_DIR/releases" -mindepth 1 -maxdepth 1 -print -quit 2>/dev/null) ]]; }

start_agent() {
  if needed unit; then
    unit_text >"$(unit_path)"
    systemctl daemon-reload
    systemctl enable "$(basename -- "$(unit_path)")" >>"$LOG_FILE" 2>&1
    record "unit $(unit_path)"
    changed "wrote the systemd unit $(unit_path)"
  fi
  if needed agent; then
    run 'Starting the agent' service start || die 8 'the agent does not start' "$PREFIX/bin/appliance agent --foreground shows why"
    changed 'started the agent'
  elif needed agent_restart; then
    run 'Restarting the agent' service restart || die 8 'the agent does not start again' "$PREFIX/bin/appliance agent --foreground shows why"
    changed 'restarted the agent'
  fi
}
