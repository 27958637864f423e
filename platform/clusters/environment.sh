#!/usr/bin/env bash
# The same environment on every node: ~/nowt-venv with Python 3.11 and what requirements.lock pins, on the PATH of every
# shell. Safe to run again: what is done is not done again.
set -euo pipefail
project=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
venv=~/nowt-venv

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

# at the top: a shell that is not interactive leaves Ubuntu's .bashrc early
line='export PATH=~/nowt-venv/bin:$PATH RAY_AUTH_MODE=token  # nowt'
touch ~/.bashrc
grep -qxF "$line" ~/.bashrc || { echo "$line" | cat - ~/.bashrc > ~/.bashrc.new && mv ~/.bashrc.new ~/.bashrc; }
chmod 600 ~/.ray/auth_token
