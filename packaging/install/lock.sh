# shellcheck shell=bash
# One installer at a time works in a prefix. Set by install.sh: LOCK, an open file descriptor, and LOCKED.

# lock_prefix [wait]: keeps other installers out of PREFIX, where that is there, until this shell ends. What `run` starts
# does not inherit it, for that may stay when this shell is gone.
lock_prefix() {
  while [[ $LOCKED == no && -d $PREFIX ]]; do
    exec {LOCK}<&-
    { exec {LOCK}<"$PREFIX"; } 2>/dev/null || return 0
    if ! flock --nonblock "$LOCK"; then
      [[ ${1:-} == wait ]] || die 5 "another install.sh is at work in $PREFIX" 'wait for its end, then run this again'
      say "another install.sh is at work in $PREFIX; waiting for its end"
      # In the background: a signal ends this shell at once.
      flock "$LOCK" &
      RUNNING=$!
      wait "$RUNNING"
      RUNNING=''
    fi
    # That one may have removed the directory.
    [[ ! $PREFIX -ef /proc/self/fd/$LOCK ]] || LOCKED=yes
  done
}
