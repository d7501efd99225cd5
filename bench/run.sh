#!/usr/bin/env bash
# The standard matrix on Strongroom and, where they run, on nginx and Ceph RGW, in one run, over TLS.
#   bench/run.sh [RESULTS_DIR]
# Env: SECS (5) and RUNS (3) of each cell, CONC (8), SIZES ("4KiB 1MiB 64MiB"), MODES ("none sse-c sse-s3 sse-kms"),
#      PEERS ("strongroom nginx rgw": those that are installed run; bench/peers/*.sh install them)
# Everything listens on loopback and is stopped at the end. Server CPU is the figure to trust: machines are noisy.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
out=$(mkdir -p "${1:-$root/target/bench}" && cd "${1:-$root/target/bench}" && pwd)
work=$(mktemp -d)
export PEERS_HOME=$work/peers
results=$out/results.jsonl
load=$root/target/s3load/release/s3load
server=$root/target/release/strongroom
secs=${SECS:-5} runs=${RUNS:-3} conc=${CONC:-8}
started=()

stop_all() {
  for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
  [ -d "$work/peers/nginx" ] && "$here/peers/nginx.sh" stop 2>/dev/null || true
  [ -d "$work/peers/rgw" ] && "$here/peers/rgw.sh" destroy >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap stop_all EXIT

cell() { # name endpoint mode op size server-pids [more options]
  local name=$1 endpoint=$2 mode=$3 op=$4 size=$5 pids=$6; shift 6
  timeout 600 "$load" --name "$name" --endpoint "$endpoint" --ak "$AK" --sk "$SK" --mode "$mode" --op "$op" --size "$size" \
    --secs "$secs" --runs "$runs" --concurrency "$conc" --server "$pids" --json "$results" "$@" || echo "failed: $name $mode $op $size"
}

matrix() { # name endpoint mode server-pids [more options]
  local name=$1 endpoint=$2 mode=$3 pids=$4 size; shift 4
  for size in ${SIZES:-4KiB 1MiB 64MiB}; do
    cell "$name" "$endpoint" "$mode" put "$size" "$pids" "$@"
    cell "$name" "$endpoint" "$mode" get "$size" "$pids" "$@"
  done
}

run_strongroom() {
  export AK=benchbenchbench SK=benchbenchbenchbenchbench mode
  STRONGROOM_ACCESS_KEY=$AK STRONGROOM_SECRET_KEY=$SK "$server" serve "$work/data" --address 127.0.0.1:7643 \
    --admin-address 127.0.0.1:7644 --encrypt-by-default false >"$out/strongroom.log" 2>&1 &
  local pid=$!
  started+=("$pid")
  wait_ready https://127.0.0.1:7643/health/ready
  for mode in ${MODES:-none sse-c sse-s3 sse-kms}; do
    local key=(); [ "$mode" = sse-kms ] && key=(--kms-key default)
    matrix strongroom https://127.0.0.1:7643 "$mode" "strongroom=$pid" "${key[@]}"
    cell strongroom https://127.0.0.1:7643 "$mode" range 64MiB "strongroom=$pid" --range-size 64KiB "${key[@]}"
  done
  kill "$pid"; wait "$pid" || true
}

run_nginx() {
  command -v nginx >/dev/null || { echo "nginx is not installed: apt-get install nginx-light"; return; }
  export AK=any SK=any
  "$here/peers/nginx.sh" start
  matrix nginx https://127.0.0.1:7543 none "$("$here/peers/nginx.sh" server)"
  "$here/peers/nginx.sh" stop
}

run_rgw() {
  command -v radosgw >/dev/null || { echo "Ceph RGW is not installed: bench/peers/rgw.sh install"; return; }
  local info mode pids
  info=$("$here/peers/rgw.sh" start)
  AK=$(sed -n 's/^access_key=\([^ ]*\).*/\1/p' <<<"$info") SK=$(sed -n 's/.*secret_key=//p' <<<"$info")
  export AK SK
  pids=$(awk '$1=="pid" && ($2=="client.rgw.a" || $2=="osd.0") {printf "%s%s=%s", s, ($2=="osd.0" ? "osd" : "rgw"), $3; s=","}' <<<"$info")
  for mode in none sse-c sse-kms; do
    local key=(); [ "$mode" = sse-kms ] && key=(--kms-key testkey-1)
    matrix rgw https://127.0.0.1:7443 "$mode" "$pids" "${key[@]}"
  done
}

wait_ready() {
  for _ in $(seq 1 100); do curl -skf -o /dev/null "$1" && return; sleep 0.1; done
  echo "no answer from $1" >&2; return 1
}

[ -x "$server" ] || { echo "build the server first: make build" >&2; exit 1; }
CARGO_TARGET_DIR=$root/target/s3load cargo build -q --release --manifest-path "$here/s3load/Cargo.toml"
rm -f "$results"
for peer in ${PEERS:-strongroom nginx rgw}; do "run_$peer"; done
"$here/table.py" "$results" | tee "$out/table.md"
