#!/usr/bin/env bash
# Puts the identity provider that tests log in at below .tools/oidc, versions pinned.
# Quick when all of it is there. A tool that cannot be had is a failure, never a skipped test.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/apt.sh
dir=.tools/oidc

missing=()
command -v node >/dev/null || missing+=(nodejs)
command -v npm >/dev/null || missing+=(npm)
apt_install "${missing[@]}"
mkdir -p "$dir"
cmp -s tests/oidc/package-lock.json "$dir/.installed" && exit
cp tests/oidc/package.json tests/oidc/package-lock.json "$dir"
(cd "$dir" && npm ci --no-audit --no-fund --loglevel=error)
cp tests/oidc/package-lock.json "$dir/.installed"
