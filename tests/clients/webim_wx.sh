#!/usr/bin/env bash
# The chat of the 2018 mini-program, unmodified, in a room that is quiet for longer than WeChat waits: tests/clients/webim_wx.sh [roomservice].
# WEBIM_WX names its file: wxlite/utils/webim_wx.js of TencentVideoCloudMLVBDev/MiniProgram. QUIET: for how many seconds (130).
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
program=${1:-$root/target/debug/roomservice}
: "${WEBIM_WX:?names webim_wx.js}"
scratch=$(mktemp -d)
server=
end() {
  [ -z "$server" ] || { kill -9 "$server"; wait "$server"; } 2>/dev/null || true
  rm -rf "$scratch"
}
trap end EXIT

free() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
export ROOMSERVICE_HTTP__LISTEN=127.0.0.1:$(free) ROOMSERVICE_RTMP__LISTEN=127.0.0.1:$(free)
export ROOMSERVICE_WEBRTC__ENABLED=false ROOMSERVICE_DATA_DIR=$scratch/data
base=http://$ROOMSERVICE_HTTP__LISTEN
"$program" >"$scratch/log" 2>&1 &
server=$!
for _ in $(seq 100); do curl -sf "$base/healthz" >/dev/null && break; sleep 0.1; done
timeout 300 node "$root/tests/clients/webim_wx.mjs" "$base" || { cat "$scratch/log"; exit 1; }
