# shellcheck shell=bash
# A bare host becomes the appliance of a snapshot (S4-38). Before the agent starts: without configuration there is nothing
# that it could look after. Typed again after a failure, it goes on where it was.

# What a recovery that was begun leaves until its end (src/agent/recovery-paths.ts).
recovery_begun() { [[ -e $LIB_DIR/backups/recovery.json ]]; }

look_at_restore() {
  [[ -n $RESTORE ]] || return 0
  if ! recovery_begun && [[ -e $ETC_DIR/appliance.yaml || -e $LIB_DIR/state.db ]]; then
    refuse 2 "this host has an appliance already, in $LIB_DIR and $ETC_DIR" \
      "put data of a snapshot back into it: $PREFIX/bin/appliance backup restore ID; a second appliance needs --root DIR --prefix DIR"
  fi
  if [[ $RESTORE != *:* && ! -f $RESTORE/config ]]; then
    refuse 2 "there is no backup repository at $RESTORE" 'name the directory that has the files config, data, index and keys, or a target of restic'
  fi
  need restore "make this host the appliance of the snapshot $SNAPSHOT in $RESTORE"
}

restore_host() {
  needed restore || return 0
  STEP='making this host the appliance of a snapshot'
  local options=(--key-file "$KEY_FILE" --snapshot "$SNAPSHOT")
  if [[ -n $ROOT ]]; then options+=(--root "$ROOT"); fi
  say "Making this host the appliance of the snapshot $SNAPSHOT"
  # On the terminal, not in the log alone: it takes as long as the data are large.
  "$PREFIX/bin/appliance" backup recover "$RESTORE" "${options[@]}" ||
    die 1 'the host was not restored' 'when what is said above is repaired, run the same command again; it goes on where it was'
  changed "made this host the appliance of a snapshot in $RESTORE"
}
