#!/usr/bin/env bash
# Install the environment of a node: ~/nowt-venv with Python 3.11 and the packages of requirements.lock, on the PATH of
# every shell. Safe to run again: finished steps are skipped.
set -euo pipefail
project=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
venv=~/nowt-venv

pins=$(sha256sum "$project/requirements.lock" | cut -d' ' -f1)
if [ "$(cat "$venv/.pins" 2>/dev/null)" != "$pins" ]; then
  if ! python=$(command -v python3.11); then
    # the image has another Python version; uv, itself pinned, installs 3.11
    sudo apt-get -o DPkg::Lock::Timeout=600 install -y -q python3-venv  # a new machine runs its own updates first
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

# first line: Ubuntu's .bashrc returns early in a non-interactive shell
line='export PATH=~/nowt-venv/bin:$PATH RAY_AUTH_MODE=token  # nowt'
touch ~/.bashrc
grep -qxF "$line" ~/.bashrc || { echo "$line" | cat - ~/.bashrc > ~/.bashrc.new && mv ~/.bashrc.new ~/.bashrc; }
chmod 600 ~/.ray/auth_token
