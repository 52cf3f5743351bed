#!/usr/bin/env bash
# Compiles docs/clients/RoomChat.java and runs it against a server of its own: tests/clients/room_chat.sh [roomservice]
set -euo pipefail
. "$(dirname "$0")/server.sh"

javac -Xlint:all -Werror -d "$scratch" "$root/docs/clients/RoomChat.java" "$root/tests/clients/RoomChatRun.java"

start_server
mkfifo "$scratch/said"
timeout 120 java -cp "$scratch" RoomChatRun "$base" <"$scratch/said" >"$scratch/out" 2>&1 &
client=$!
exec 3>"$scratch/said"
for _ in $(seq 300); do
  grep -q restart "$scratch/out" && break
  kill -0 "$client" 2>/dev/null || break
  sleep 0.1
done
end_server
start_server
(echo >&3) 2>/dev/null || true
wait "$client" && code=0 || code=$?
cat "$scratch/out"
exit "$code"
