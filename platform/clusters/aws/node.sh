#!/usr/bin/env bash
# Set up a node of cluster.yaml: node.sh s3://BUCKET. Safe to run again: finished steps are skipped.
#   ~/nowt-venv     the environment (../environment.sh)
#   ~/nowt-bucket   s3://BUCKET, for head.sh
#   ~/data          s3://BUCKET/data, on local NVMe if the node has one; NAME.tar is unpacked
set -euo pipefail
bucket=${1:?usage: node.sh s3://BUCKET}
echo "$bucket" > ~/nowt-bucket
bash "$(dirname "${BASH_SOURCE[0]}")/../environment.sh"

disk=/opt/dlami/nvme  # where AWS images mount the instance's local NVMe
if mountpoint -q "$disk"; then sudo chown "$(id -u)" "$disk"; else disk=~/nowt-disk; fi
mkdir -p "$disk/data"
ln -sfn "$disk/data" ~/data
if [ ! -e "$disk/data/.complete" ]; then
  aws s3 sync --only-show-errors --exclude '*.tar' "$bucket/data" "$disk/data"  # an empty bucket is not an error
  { aws s3 ls "$bucket/data/" || true; } | while read -r _ _ _ name; do
    case $name in *.tar) aws s3 cp --only-show-errors "$bucket/data/$name" - < /dev/null | tar -x -C "$disk/data" ;; esac
  done
  touch "$disk/data/.complete"
fi
