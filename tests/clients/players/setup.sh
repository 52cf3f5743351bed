#!/usr/bin/env bash
# Installs what matrix.mjs plays and pushes with and Debian has not: setup.sh DIRECTORY [quick]; quick: what ./check needs.
# Debian 12 has the others: apt-get install ffmpeg chromium gstreamer1.0-tools gstreamer1.0-plugins-{base,good,bad,ugly} mpv vlc-bin vlc-plugin-base
set -euo pipefail
to=${1:?where to}
packages=(playwright-core@1.65.1 hls.js@1.7.4 mpegts.js@1.8.2 shaka-player@5.2.12 video.js@8.24.1)
mkdir -p "$to"
if [ "${2:-}" != quick ]; then
    python3 -m venv "$to/venv"
    "$to/venv/bin/pip" install -q imageio-ffmpeg==0.8.1
    packages+=(flv.js@1.6.2 xgplayer@3.0.26 xgplayer-flv@3.0.24 tcplayer.js@5.3.4)
fi
npm install --prefix "$to" --silent --no-audit --no-fund --ignore-scripts "${packages[@]}"
