#!/usr/bin/env bash
# Puts what the tests need where they look for it: a virtual environment in .tools/venv, the key servers of install-servers.sh, the MinIO client, and the
# system's rclone, s3cmd and strace.
# Quick when all of it is there. A tool that cannot be had is a failure, never a skipped test.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=.tools/venv
stamp=$venv/.requirements
python=${PYTHON:-python3}

install_packages() {
  local install="apt-get install -y --no-install-recommends $*" sudo=
  [ "$(id -u)" = 0 ] || sudo=sudo
  if ! { $sudo apt-get update -qq && $sudo env DEBIAN_FRONTEND=noninteractive $install >/dev/null; }; then
    echo "tests: missing $*; install: $install" >&2
    exit 1
  fi
}

missing=()
for tool in rclone s3cmd openssl strace pwgen; do
  command -v "$tool" >/dev/null || missing+=("$tool")
done
"$python" -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
[ ${#missing[@]} -eq 0 ] || install_packages "${missing[@]}"

tests/install-mc.sh
tests/install-servers.sh
if ! cmp -s tests/requirements.txt "$stamp"; then
  "$python" -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r tests/requirements.txt
  cp tests/requirements.txt "$stamp"
fi
