#!/bin/sh
# Goes back to the program before an update, when no agent of the new one can say so itself. `appliance self-update` lays
# this beside what it needs, as PREFIX/trial/guard, and removes it when the new agent has proven itself; PREFIX/bin/appliance
# runs it before each start of an agent.
#
#   from     the program to go back to: programs/VERSION-FINGERPRINT
#   by       the program that knows how to
#   now      exists when going back was asked for
#   starts   one line for each start of the new agent
#
# Four starts within ten minutes are a program that does not live. Whatever goes wrong here, the agent is started.

case " $* " in *' --foreground '*) ;; *) exit 0 ;; esac
trial=$(cd -- "$(dirname -- "$0")" && pwd) || exit 0
prefix=$(dirname -- "$trial")
{ read -r from <"$trial/from" && read -r by <"$trial/by"; } || exit 0
if [ ! -e "$trial/now" ]; then
  [ "$(readlink -- "$prefix/program")" != "$from" ] || exit 0
  find "$trial/starts" -mmin +10 -delete 2>/dev/null
  echo start >>"$trial/starts"
  [ "$(wc -l <"$trial/starts")" -gt 3 ] || exit 0
fi
exec "$prefix/runtime/bin/node" "$prefix/$by/dist/appliance.js" __take-back
