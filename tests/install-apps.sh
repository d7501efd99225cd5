#!/usr/bin/env bash
# Puts the applications of tests/apps that `make test` does without below .tools/apps, versions pinned; what tests/install.sh brings is taken for granted.
# Quick when all of it is there. A tool that cannot be had is a failure, never a skipped test.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/apt.sh
apps=$PWD/.tools/apps
python=${PYTHON:-python3}
mkdir -p "$apps"

# psycopg2, which Barman needs, is built against libpq.
system_packages() {
  local missing=()
  ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || missing+=(postgresql)
  command -v pgbackrest >/dev/null || missing+=(pgbackrest)
  command -v pg_config >/dev/null && [ -e "$(pg_config --includedir)/libpq-fe.h" ] || missing+=(libpq-dev)
  apt_install "${missing[@]}"
}

# name, what pip installs, and what shows that it has changed: a virtual environment of its own.
python_packages() {
  local stamp=$apps/$1/.installed
  [ "$(cat "$stamp" 2>/dev/null)" = "$3" ] && return
  rm -rf "${apps:?}/$1"
  "$python" -m venv "$apps/$1"
  "$apps/$1/bin/pip" install --quiet --disable-pip-version-check $2
  echo "$3" > "$stamp"
}

# name, module, version, package: built in the module's own folder, since go install takes none whose dependencies are replaced.
go_program() {
  local program=$apps/bin/$1 dir
  [ "$(cat "$program.version" 2>/dev/null)" = "$2@$3" ] && return
  command -v go >/dev/null || { echo "tests: missing go 1.26; install: apt-get install golang-go" >&2; exit 1; }
  mkdir -p "$apps/bin"
  dir=$(go mod download -json "$2@$3" | "$python" -c 'import json, sys; print(json.load(sys.stdin)["Dir"])')
  (cd "$dir" && go build -mod=readonly -buildvcs=false -o "$program" "./$4")
  echo "$2@$3" > "$program.version"
}

javascript() {
  command -v npm >/dev/null || apt_install npm
  mkdir -p "$apps/javascript"
  cp tests/apps/javascript/{package.json,package-lock.json,day.mjs} "$apps/javascript"
  cmp -s tests/apps/javascript/package-lock.json "$apps/javascript/.installed" && return
  (cd "$apps/javascript" && npm ci --no-audit --no-fund --loglevel=error)
  cp tests/apps/javascript/package-lock.json "$apps/javascript/.installed"
}

# name: the libraries of tests/apps/NAME/pom.xml, and the class path that has them.
java_libraries() {
  local dir=$apps/$1
  cmp -s "tests/apps/$1/pom.xml" "$dir/.installed" && return
  command -v mvn >/dev/null || apt_install maven
  command -v keytool >/dev/null || apt_install default-jdk-headless
  mkdir -p "$dir"
  mvn -q -B -f "tests/apps/$1/pom.xml" org.apache.maven.plugins:maven-dependency-plugin:3.8.1:build-classpath -Dmdep.outputFile="$dir/classpath" >&2
  cp "tests/apps/$1/pom.xml" "$dir/.installed"
}

# The programs of tests/apps that use an SDK; Go and cargo look themselves whether anything has changed.
sdk_programs() {
  (cd tests/apps/go && go build -buildvcs=false -o "$apps/bin/sdk-go" .)
  (cd tests/apps/go/velero && go build -buildvcs=false -o "$apps/bin/velero-day" .)
  (cd tests/apps/rust && CARGO_TARGET_DIR=$apps/rust cargo build --quiet --locked)
  javascript
  java_libraries java
}

system_packages
# The runner of the tests is among them.
python_packages python "-r tests/apps/requirements.txt" "$(cat tests/apps/requirements.txt)"
medusa=cassandra-medusa==0.31.0
python_packages medusa $medusa $medusa
go_program promtool github.com/prometheus/prometheus v0.309.1 cmd/promtool
go_program registry github.com/distribution/distribution/v3 v3.1.2 cmd/registry
go_program thanos github.com/thanos-io/thanos v0.42.4 cmd/thanos
go_program tofu github.com/opentofu/opentofu v1.12.6 cmd/tofu
go_program velero-plugin-for-aws github.com/vmware-tanzu/velero-plugin-for-aws v1.14.3 velero-plugin-for-aws
sdk_programs
java_libraries hadoop
