#!/usr/bin/env bash
# Puts the MinIO client, unmodified, from Debian into .tools/mc, without touching this system's own packages. Older Debians have none, so it
# is taken from trixie, through the mirror that this system uses.
set -euo pipefail
cd "$(dirname "$0")/.."
home=$PWD/.tools/mc
[ -x "$home/usr/bin/minio-client" ] && exit

fail() { echo "tests: missing the MinIO client; install: put minio-client of Debian trixie at $home/usr/bin/minio-client" >&2; exit 1; }
trap fail ERR
mkdir -p "$home/lists/partial" "$home/cache/archives/partial"
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -1)
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
echo "deb [signed-by=$keyring] $mirror trixie main" > "$home/sources.list"
apt=(apt-get -q -o "Dir::Etc::sourcelist=$home/sources.list" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$home/lists"
  -o "Dir::Cache=$home/cache" -o APT::Sandbox::User=root)
"${apt[@]}" update >/dev/null
(cd "$home" && "${apt[@]}" download minio-client >/dev/null && dpkg-deb -x minio-client_*.deb . && rm -rf minio-client_*.deb lists cache)
