#!/usr/bin/env bash
# Compiles docs/clients/RoomChat.java and runs it against a server of its own: tests/clients/room_chat.sh [roomservice]
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
program=${1:-$root/target/debug/roomservice}
scratch=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill -9 "$server" 2>/dev/null || true; rm -rf "$scratch"' EXIT

javac -Xlint:all -Werror -d "$scratch" "$root/docs/clients/RoomChat.java" "$root/tests/clients/RoomChatRun.java"

free() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
export ROOMSERVICE_HTTP__LISTEN=127.0.0.1:$(free) ROOMSERVICE_RTMP__LISTEN=127.0.0.1:$(free)
export ROOMSERVICE_WEBRTC__ENABLED=false ROOMSERVICE_DATA_DIR=$scratch/data
base=http://$ROOMSERVICE_HTTP__LISTEN
start() {
  "$program" >>"$scratch/log" 2>&1 &
  server=$!
  for _ in $(seq 100); do curl -sf "$base/healthz" >/dev/null && return; sleep 0.1; done
  cat "$scratch/log"
  return 1
}

start
mkfifo "$scratch/said"
timeout 120 java -cp "$scratch" RoomChatRun "$base" <"$scratch/said" >"$scratch/out" 2>&1 &
client=$!
exec 3>"$scratch/said"
for _ in $(seq 300); do
  grep -q restart "$scratch/out" && break
  kill -0 "$client" 2>/dev/null || break
  sleep 0.1
done
{ kill -9 "$server"; wait "$server"; } 2>/dev/null || true
start
echo >&3 2>/dev/null || true
wait "$client" && code=0 || code=$?
cat "$scratch/out"
exit "$code"
