#!/usr/bin/env bash
# Puts what the end-to-end tests need where they look for it: a virtual environment in .tools/venv, and the system's rclone and s3cmd.
# Quick when all of it is there. A tool that cannot be had is a failure, never a skipped test.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=.tools/venv
stamp=$venv/.requirements

if ! cmp -s tests/requirements.txt "$stamp"; then
  "${PYTHON:-python3}" -m venv "$venv" || { echo "tests: no virtual environment; install it: apt-get install -y python3-venv" >&2; exit 1; }
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r tests/requirements.txt
  cp tests/requirements.txt "$stamp"
fi

missing=()
for tool in rclone s3cmd openssl; do
  command -v "$tool" >/dev/null || missing+=("$tool")
done
if [ ${#missing[@]} -gt 0 ]; then
  install="apt-get install -y --no-install-recommends ${missing[*]}"
  sudo=
  [ "$(id -u)" = 0 ] || sudo=sudo
  if ! { $sudo apt-get update -qq && $sudo env DEBIAN_FRONTEND=noninteractive $install >/dev/null; }; then
    echo "tests: missing ${missing[*]}; install: $install" >&2
    exit 1
  fi
fi
