#!/usr/bin/env bash
# Ends this host's Ray a minute after its head's: follow.sh HEAD. `ray down` ends the head's alone, and a raylet without a
# head lives on. By then Ray has given up a host that is only cut off, too, and starts it again when it can enter it.
set -u
head=${1:?usage: follow.sh HEAD}
echo "$head" > ~/.nowt-head
exec 9> ~/.nowt-head.lock."$head"
flock --nonblock 9 || exit 0  # one is enough
missed=0
while ((missed < 12)); do
  sleep 5
  [ "$(cat ~/.nowt-head)" = "$head" ] || exit 0  # the host has another head by now
  missed=$((missed + 1))
  timeout 3 bash -c ": < /dev/tcp/$head/6379" 2> /dev/null && missed=0
done
ray stop
