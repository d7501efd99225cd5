#!/usr/bin/env bash
# What listings cost and what they do to other requests, and how PUT fares in a store of many objects, over TLS.
#   bench/catalog.sh [RESULTS_DIR]
# Env: SERVER (target/release/strongroom), SECS (8) and RUNS (3) of each cell, PREFIXES (1000) in a listing, LISTED (8000) objects below them,
#      AGED (1000000): before PUT is measured the store holds so many objects of 4 KiB; 0 leaves that out. A million take some minutes.
# Everything listens on loopback and is stopped at the end.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
out=$(mkdir -p "${1:-$root/target/bench}" && cd "${1:-$root/target/bench}" && pwd)
work=$(mktemp -d "$out/catalog.XXXXXX")
load=$root/target/s3load/release/s3load
server=${SERVER:-$root/target/release/strongroom}
secs=${SECS:-8} runs=${RUNS:-3} prefixes=${PREFIXES:-1000} listed=${LISTED:-8000} aged=${AGED:-1000000}
export AK=benchbenchbench SK=benchbenchbenchbenchbench
pids=()

stop_all() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$work"
}
trap stop_all EXIT

measure() { # name op bucket [more options]
  local name=$1 op=$2 bucket=$3; shift 3
  "$load" --name "$name" --endpoint https://127.0.0.1:7653 --ak "$AK" --sk "$SK" --op "$op" --bucket "$bucket" --size 4KiB --mode sse-s3 \
    --prefixes "$prefixes" --server "strongroom=${pids[0]}" --json "$out/catalog.jsonl" "$@"
}

beside_listers() { # name op
  measure background list listed --objects "$listed" --no-populate --concurrency 8 --runs 1 --warm-secs 0 \
    --secs "$((secs * runs + 4))" >"$work/listers" &
  local listers=$!
  measure "$1" "$2" points --concurrency 1 --secs "$secs" --runs "$runs" --no-populate
  wait "$listers"
  cat "$work/listers"
}

[ -x "$server" ] || { echo "build the server first: make build" >&2; exit 1; }
CARGO_TARGET_DIR=$root/target/s3load cargo build -q --release --manifest-path "$here/s3load/Cargo.toml"
rm -f "$out/catalog.jsonl"
STRONGROOM_ACCESS_KEY=$AK STRONGROOM_SECRET_KEY=$SK "$server" serve "$work/data" --address 127.0.0.1:7653 \
  --admin-address 127.0.0.1:7654 >"$out/catalog.log" 2>&1 &
pids+=($!)
for _ in $(seq 1 100); do curl -skf -o /dev/null https://127.0.0.1:7653/health/ready && break; sleep 0.1; done

measure "one lister" list listed --objects "$listed" --concurrency 1 --secs "$secs" --runs "$runs"
measure "eight listers" list listed --objects "$listed" --no-populate --concurrency 8 --secs "$secs" --runs "$runs"
for op in get head put; do
  measure "alone" "$op" points --concurrency 1 --secs "$secs" --runs "$runs"
  beside_listers "beside eight" "$op"
done
if [ "$aged" -gt 0 ]; then
  # By PUT itself: objects as they are, in the order of nothing.
  measure "filling" put aged --concurrency 16 --runs 1 --warm-secs 0 --secs 7200 --max-mib "$((aged * 4 / 1024))" --no-cleanup
  measure "aged" put aged --concurrency 1 --secs "$((secs * 2))" --runs "$runs" --no-cleanup
  measure "aged, eight" put aged --concurrency 8 --secs "$((secs * 2))" --runs "$runs" --no-cleanup
fi
