#!/usr/bin/env bash
# The chat of the 2018 mini-program, unmodified, in a room that is quiet for longer than WeChat waits: tests/clients/webim_wx.sh [roomservice].
# WEBIM_WX names its file: wxlite/utils/webim_wx.js of TencentVideoCloudMLVBDev/MiniProgram. QUIET: for how many seconds (130).
set -euo pipefail
. "$(dirname "$0")/server.sh"
: "${WEBIM_WX:?names webim_wx.js}"
start_server
timeout 300 node "$root/tests/clients/webim_wx.mjs" "$base" || { cat "$scratch/log"; exit 1; }
