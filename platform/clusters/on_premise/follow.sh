#!/usr/bin/env bash
# Ends this host's Ray a minute after its head's: follow.sh HEAD. `ray down` ends the head's alone, and a raylet without a
# head lives on. By then Ray has given up a host that is only cut off, too, and starts it again when it can enter it.
set -u
head=${1:?usage: follow.sh HEAD}
exec 9> ~/.nowt-follow.lock
flock --nonblock 9 || exit 0  # one is enough
missed=0
while ((missed < 12)); do
  sleep 5
  missed=$((missed + 1))
  timeout 3 bash -c ": < /dev/tcp/$head/6379" 2> /dev/null && missed=0
done
ray stop
