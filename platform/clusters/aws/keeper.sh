#!/usr/bin/env bash
# Start backup and MLflow on the head of cluster.yaml: keeper.sh PREFIX. Safe to run again: it restarts both.
#   ~/runs          the store; restored from s3://BUCKET/PREFIX if it has no runs
#   ~/nowt-keeper   logs of `nowt backup` and `nowt serve`
# When `nowt backup` is terminated, also by a shutdown of the machine, it makes a last copy.
set -euo pipefail
copy=$(cat ~/nowt-bucket)/${1:?usage: keeper.sh PREFIX}
store=~/runs home=~/nowt-keeper
mkdir -p "$store" "$home"

# keep NAME COMMAND...: run it in the background, detached from this shell; it holds a lock while it runs
keep() {
  nohup setsid flock --no-fork "$home/$1.lock" "${@:2}" >> "$home/$1.log" 2>&1 < /dev/null &
  echo $! > "$home/$1.pid"
}

# end NAME: stop what `keep NAME` started, if it is still running
end() {
  flock --nonblock "$home/$1.lock" true && return
  kill "$(cat "$home/$1.pid")" || true
  flock --wait 120 "$home/$1.lock" true || { echo "nowt $1 of an earlier start does not stop" >&2; exit 1; }
}

end backup
end serve
nowt restore "$copy" --store "$store" --if-empty
nowt backup "$copy" --store "$store"  # once in the foreground, to report a bucket that is not accessible
keep backup nowt backup "$copy" --store "$store" --every 240
keep serve nowt serve --store "$store"
