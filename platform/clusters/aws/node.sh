#!/usr/bin/env bash
# Makes a node of cluster.yaml ready: node.sh s3://BUCKET. Safe to run again: what is done is not done again.
#   ~/nowt-venv   Python 3.11 with what requirements.lock pins, the same on every node
#   ~/data        s3://BUCKET/data, on local NVMe where there is one; NAME.tar there is unpacked here
set -euo pipefail
bucket=${1:?usage: node.sh s3://BUCKET}
project=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
venv=~/nowt-venv

# --- the environment
pins=$(sha256sum "$project/requirements.lock" | cut -d' ' -f1)
if [ "$(cat "$venv/.pins" 2>/dev/null)" != "$pins" ]; then
  if ! python=$(command -v python3.11); then
    # the image's own Python is another one: uv brings 3.11, and is itself pinned
    sudo apt-get -o DPkg::Lock::Timeout=600 install -y -q python3-venv  # a fresh machine updates itself at first
    python3 -m venv ~/nowt-uv
    ~/nowt-uv/bin/pip install --quiet uv==0.13.9
    ~/nowt-uv/bin/uv python install 3.11
    python=$(~/nowt-uv/bin/uv python find 3.11)
  fi
  rm -rf "$venv"
  "$python" -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$project/requirements.lock"
  "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --editable "$project"
  echo "$pins" > "$venv/.pins"
fi

# --- every shell, also one that is not interactive, which leaves Ubuntu's .bashrc early
line='export PATH=~/nowt-venv/bin:$PATH RAY_AUTH_MODE=token  # nowt'
touch ~/.bashrc
grep -qxF "$line" ~/.bashrc || { echo "$line" | cat - ~/.bashrc > ~/.bashrc.new && mv ~/.bashrc.new ~/.bashrc; }
chmod 600 ~/.ray/auth_token

# --- the pictures
disk=/opt/dlami/nvme  # where AWS's images mount the instance's own NVMe
if mountpoint -q "$disk"; then sudo chown "$(id -u)" "$disk"; else disk=~/nowt-disk; fi
mkdir -p "$disk/data"
ln -sfn "$disk/data" ~/data
if [ ! -e "$disk/data/.complete" ]; then
  aws s3 sync --only-show-errors --exclude '*.tar' "$bucket/data" "$disk/data"
  { aws s3 ls "$bucket/data/" || true; } | while read -r _ _ _ name; do
    case $name in *.tar) aws s3 cp --only-show-errors "$bucket/data/$name" - < /dev/null | tar -x -C "$disk/data" ;; esac
  done
  touch "$disk/data/.complete"
fi
