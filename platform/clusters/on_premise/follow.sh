#!/usr/bin/env bash
# Stop Ray on this host a minute after Ray on the head has stopped: follow.sh HEAD. `ray down` stops Ray only on the head,
# and a raylet without a head keeps running. After a minute Ray has also given up a host that is only partitioned, and
# starts it again when it can log in.
set -u
head=${1:?usage: follow.sh HEAD}
echo "$head" > ~/.nowt-head
exec 9> ~/.nowt-head.lock."$head"
flock --nonblock 9 || exit 0  # another instance is running
missed=0
while ((missed < 12)); do
  sleep 5
  [ "$(cat ~/.nowt-head)" = "$head" ] || exit 0  # the host has a new head
  missed=$((missed + 1))
  timeout 3 bash -c ": < /dev/tcp/$head/6379" 2> /dev/null && missed=0
done
ray stop
