# shellcheck shell=bash
# The reference application: repository, environment, configuration, two deploys.

readonly DEMO_NAME=routing-ml DEMO_PORTS=(8080 8443)
readonly DEMO_FIRST=v0.9 DEMO_SECOND=v1.0 DEMO_NEXT=v1.0-p2
# Megabytes: repository and databases.
readonly DEMO_DATA_MB=500

demo_repository() { printf '%s/demo/%s' "$LIB_DIR" "$DEMO_NAME"; }
demo_env() { printf '%s/%s.env' "$ETC_DIR" "$DEMO_NAME"; }

look_at_demo() {
  [[ $WITH_DEMO == yes ]] || return 0
  local config="$ETC_DIR/appliance.yaml"
  if [[ -e $config ]] && ! grep -qF -- "$(demo_repository)" "$config"; then
    refuse 2 "$config belongs to another application than the demo" 'give the demo a place of its own: --root DIR --prefix DIR'
    return
  fi
  [[ -e $(demo_repository) ]] || need repository "make the repository of the reference application, $(demo_repository)"
  [[ -e $(demo_env) ]] || need environment "write its environment with generated secrets, $(demo_env) (mode 0600)"
  [[ -e $config ]] || need config "write $config"
  # Written when both were deployed: what the user deploys or takes back afterwards is his.
  [[ -e $LIB_DIR/demo/deployed ]] || need deploy "deploy $DEMO_FIRST, then $DEMO_SECOND"
}

install_demo_files() {
  local source="$PREFIX/program/compose/$DEMO_NAME" config="$ETC_DIR/appliance.yaml"
  [[ $WITH_DEMO == yes ]] || return 0
  if needed repository; then
    mkdir -p -- "$LIB_DIR/demo"
    run 'Making the repository of the reference application' "$source/make-repository.sh" "$(demo_repository)" ||
      die 1 'the repository of the reference application could not be made' 'the log says why'
    changed "made $(demo_repository)"
  fi
  if needed environment; then
    run 'Writing its environment' "$source/make-env.sh" "$(demo_env)" || die 1 "$(demo_env) could not be written" 'the log says why'
    changed "wrote $(demo_env)"
  fi
  if needed config; then
    STEP="writing $config"
    sed -e "s|@REPOSITORY@|$(demo_repository)|g" -e "s|@ENV_FILE@|$(demo_env)|g" "$source/appliance.yaml" >"$config.new"
    chmod 0640 "$config.new"
    chgrp appliance "$config.new"
    # Never over one that somebody else wrote meanwhile.
    mv -nT -- "$config.new" "$config"
    changed "wrote $config"
  fi
}

deploy_demo() {
  needed deploy || return 0
  local tag tags=("$DEMO_FIRST" "$DEMO_SECOND") live
  STEP='asking which release is live'
  live=$(live_release 2>>"$LOG_FILE") || die 8 'the agent does not say which release is live' 'the log says why'
  # An earlier run was cut short after the first, or somebody has gone on by hand since.
  case $live in
    '') ;;
    "$DEMO_FIRST") tags=("$DEMO_SECOND") ;;
    *) tags=() ;;
  esac
  for tag in "${tags[@]}"; do
    run "Deploying $tag" appliance deploy "$tag" --yes ||
      die 1 "deploying $tag failed" "try again: $PREFIX/bin/appliance deploy $tag"
    changed "deployed $tag"
  done
  : >"$LIB_DIR/demo/deployed"
}

say_demo() {
  local command=appliance
  [[ -z $ROOT ]] || command="$PREFIX/bin/appliance"
  cat <<TEXT

The demo runs.  Open  http://127.0.0.1:${DEMO_PORTS[0]}/
  Its user and password stand in $(demo_env) (readable by root).

Try:
  $command status
  $command deploy $DEMO_NEXT
  $command rollback $DEMO_FIRST

It is backed up every night. The key of the backups is shown once; print it:  sudo $command backup key
TEXT
}
