#!/usr/bin/env bash
# Start backup and MLflow on the head of cluster.yaml: head.sh PREFIX. Safe to run again: it restarts both.
#   ~/runs          the store; restored from s3://BUCKET/PREFIX if it has no runs
#   ~/nowt-head     logs of `nowt backup` and `nowt serve`
# When `nowt backup` is terminated, also by a shutdown of the machine, it makes a last copy.
set -euo pipefail
copy=$(cat ~/nowt-bucket)/${1:?usage: head.sh PREFIX}
store=~/runs home=~/nowt-head
mkdir -p "$store" "$home"

# background NAME COMMAND...: run it in the background, detached from this shell; it holds a lock while it runs
background() {
  nohup setsid flock --no-fork "$home/$1.lock" "${@:2}" >> "$home/$1.log" 2>&1 < /dev/null &
  echo $! > "$home/$1.pid"
}

# stop NAME: stop what `background NAME` started, if it is still running
stop() {
  flock --nonblock "$home/$1.lock" true && return
  kill "$(cat "$home/$1.pid")" || true
  flock --wait 120 "$home/$1.lock" true || { echo "nowt $1 of an earlier start does not stop" >&2; exit 1; }
}

stop backup
stop serve
nowt restore "$copy" --store "$store" --if-empty
nowt backup "$copy" --store "$store"  # once in the foreground, to report a bucket that is not accessible
background backup nowt backup "$copy" --store "$store" --every 240
background serve nowt serve --store "$store"
