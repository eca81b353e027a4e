# shellcheck shell=bash
# The Docker Engine: reachable, or started by packaging/service.sh.

engine_up() { has docker && timeout 10 docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

look_at_engine() {
  local version
  [[ $WITH_ENGINE == yes ]] || return 0
  if ! engine_up; then
    need engine "start the Docker Engine ($([[ $INIT_NAME == systemd ]] && echo 'systemctl enable --now docker' || echo 'supervised, without systemd'))"
    return
  fi
  version=$(docker version --format '{{.Server.Version}}' 2>/dev/null)
  if [[ ! $version =~ ^(2[1-9]|[3-9][0-9])\. && ! $version =~ ^20\.1[0-9] ]]; then
    refuse 1 "Docker Engine $version is too old" 'at least 20.10 is needed (S1-4)'
  fi
}

start_engine() {
  needed engine || return 0
  if engine_up; then
    changed 'the packages started the Docker Engine'
    return
  fi
  if ! run 'Starting the Docker Engine' "$SOURCE/packaging/service.sh" start-engine "${SERVICE_OPTIONS[@]}"; then
    {
      printf '\nThe last lines of the Docker Engine:\n'
      "$SOURCE/packaging/service.sh" engine-log "${SERVICE_OPTIONS[@]}" | tail -n 15 | sed 's/^/    /'
    } >&2
    die 8 'the Docker Engine does not start' 'remove the cause that its last lines name'
  fi
  changed 'started the Docker Engine'
}
