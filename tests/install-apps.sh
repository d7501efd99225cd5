#!/usr/bin/env bash
# Puts the applications of tests/apps that `make test` does without below .tools/apps, versions pinned; what tests/install.sh brings is taken for granted.
# Quick when all of it is there. A tool that cannot be had is a failure, never a skipped test.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/apt.sh
apps=$PWD/.tools/apps
python=${PYTHON:-python3}
mkdir -p "$apps"

# Those that are Python packages, and the runner of the tests.
python_packages() {
  local stamp=$apps/python/.requirements
  cmp -s tests/apps/requirements.txt "$stamp" && return
  rm -rf "$apps/python"
  "$python" -m venv "$apps/python"
  "$apps/python/bin/pip" install --quiet --disable-pip-version-check -r tests/apps/requirements.txt
  cp tests/apps/requirements.txt "$stamp"
}

python_packages
