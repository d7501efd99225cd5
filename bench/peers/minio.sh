#!/usr/bin/env bash
# MinIO's last community server, over TLS, with a static KMS key, to measure beside.   minio.sh install | start [PORT] | pid | stop
# It is built with Go, which takes minutes. State lies in $PEERS_HOME/minio; it listens on loopback only.
set -euo pipefail
version=v0.0.0-20260212201848-7aac2a2c5b7c
home=${PEERS_HOME:?where peers keep their files}/minio
port=${2:-7543}

install() {
  [ -x "$home/bin/minio" ] && return
  command -v go >/dev/null || { echo "MinIO is built with Go: apt-get install golang-go" >&2; exit 1; }
  mkdir -p "$home/bin"
  GOBIN=$home/bin GOFLAGS=-mod=mod go install "github.com/minio/minio@$version"
}

certificate() {
  [ -s "$home/certs/private.key" ] && return
  mkdir -p "$home/certs"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=localhost \
    -addext "subjectAltName=DNS:localhost,IP:127.0.0.1" -keyout "$home/certs/private.key" -out "$home/certs/public.crt" 2>/dev/null
}

case ${1:-} in
install) install ;;
start)
  install && certificate
  mkdir -p "$home/data"
  MINIO_ROOT_USER=$AK MINIO_ROOT_PASSWORD=$SK MINIO_KMS_SECRET_KEY=default:$(head -c 32 /dev/urandom | base64) MINIO_BROWSER=off CI=true \
    setsid "$home/bin/minio" server --certs-dir "$home/certs" --address "127.0.0.1:$port" "$home/data" >"$home/log" 2>&1 &
  echo $! >"$home/pid"
  for _ in $(seq 100); do curl -skf -o /dev/null "https://127.0.0.1:$port/minio/health/live" && exit; sleep 0.2; done
  tail -3 "$home/log" >&2
  exit 1 ;;
pid) cat "$home/pid" ;;
stop) kill "$(cat "$home/pid")" ;;
*) echo "usage: minio.sh install | start [PORT] | pid | stop" >&2; exit 2 ;;
esac
