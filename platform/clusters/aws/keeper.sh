#!/usr/bin/env bash
# Keeps the records on the head of cluster.yaml: keeper.sh PREFIX. Safe to run again: what runs is ended and started anew.
#   ~/runs          the store; where it has no runs, as it was last copied to s3://BUCKET/PREFIX
#   ~/nowt-keeper   what `nowt backup` and `nowt serve` say
# At its end, which a machine's shutdown brings about, too, `nowt backup` makes the last copy.
set -euo pipefail
copy=$(cat ~/nowt-bucket)/${1:?usage: keeper.sh PREFIX}
store=~/runs home=~/nowt-keeper
mkdir -p "$store" "$home"

# keep NAME COMMAND...: in the background, where it outlives this shell, holding a lock as long as it lives
keep() {
  nohup setsid flock --no-fork "$home/$1.lock" "${@:2}" >> "$home/$1.log" 2>&1 < /dev/null &
  echo $! > "$home/$1.pid"
}

# end NAME: what keep has started under this name, if it still lives
end() {
  flock --nonblock "$home/$1.lock" true && return
  kill "$(cat "$home/$1.pid")" || true
  flock --wait 120 "$home/$1.lock" true || { echo "nowt $1 of an earlier start does not end" >&2; exit 1; }
}

end backup
end serve
nowt restore "$copy" --store "$store" --if-empty
nowt backup "$copy" --store "$store"  # once here, so that a bucket that cannot be used is told
keep backup nowt backup "$copy" --store "$store" --every 240
keep serve nowt serve --store "$store"
