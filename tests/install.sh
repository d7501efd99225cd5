#!/usr/bin/env bash
# Puts what the tests need where they look for it: a virtual environment in .tools/venv, the key servers of install-servers.sh, the identity provider of
# install-oidc.sh, the MinIO client, and the
# system's Chromium, rclone, restic, s3cmd and strace.
# Quick when all of it is there. A tool that cannot be had is a failure, never a skipped test.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/apt.sh
venv=.tools/venv
stamp=$venv/.requirements
python=${PYTHON:-python3}

missing=()
for tool in rclone restic s3cmd openssl strace pwgen; do
  command -v "$tool" >/dev/null || missing+=("$tool")
done
command -v chromium chromium-browser google-chrome >/dev/null || missing+=(chromium)
"$python" -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
apt_install "${missing[@]}"

tests/install-mc.sh
tests/install-servers.sh
tests/install-oidc.sh
if ! cmp -s tests/requirements.txt "$stamp"; then
  "$python" -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r tests/requirements.txt
  cp tests/requirements.txt "$stamp"
fi
