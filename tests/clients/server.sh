# Sourced by scripts that run clients: a scratch directory, and settings of a server of their own with chat and no WebRTC. Sets root,
# program (the first argument), scratch and base; start_server starts it, and the end of the script ends it.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
program=${1:-$root/target/debug/roomservice}
scratch=$(mktemp -d)
server=
end_server() { [ -z "$server" ] || { kill -9 "$server"; wait "$server"; } 2>/dev/null || true; }
trap 'end_server; rm -rf "$scratch"' EXIT

free() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
export ROOMSERVICE_HTTP__LISTEN=127.0.0.1:$(free) ROOMSERVICE_RTMP__LISTEN=127.0.0.1:$(free)
export ROOMSERVICE_WEBRTC__ENABLED=false ROOMSERVICE_DATA_DIR=$scratch/data
base=http://$ROOMSERVICE_HTTP__LISTEN

start_server() {
  "$program" >>"$scratch/log" 2>&1 &
  server=$!
  for _ in $(seq 100); do curl -sfk "$base/healthz" >/dev/null && return; sleep 0.1; done
  cat "$scratch/log"
  return 1
}
