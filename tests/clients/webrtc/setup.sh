#!/usr/bin/env bash
# Installs the clients of matrix.py that are not Debian's into a directory: setup.sh DIRECTORY
# Debian 12 has the others: apt-get install gstreamer1.0-tools gstreamer1.0-plugins-{base,good,bad,ugly} gstreamer1.0-libav
# gstreamer1.0-nice python3-gi python3-gst-1.0 gir1.2-gst-plugins-bad-1.0 gir1.2-gst-plugins-base-1.0 chromium firefox-esr
# PYTHON313 names a Python of version 3.13 for libdatachannel's binding; without it those rows say why they are missing.
set -euo pipefail
to=${1:?where to}
mkdir -p "$to/js"
python3 -m venv "$to/venv"
"$to/venv/bin/pip" install -q aiortc==1.16.0 av==18.1.0 numpy imageio-ffmpeg==0.8.1
if [ -n "${PYTHON313:-}" ]; then
  "$PYTHON313" -m venv "$to/v313"
  "$to/v313/bin/pip" install -q libdatachannel-py==2026.1.0
fi
npm install --prefix "$to/js" --silent --no-audit --no-fund \
  node@22.23.3 playwright-core@1.65.1 werift@0.25.2 @roamhq/wrtc@0.10.0 node-datachannel@0.33.4
# The libraries of packages.mjs. @htmlbricks/hb-player-live is tried, too, where it is installed; it takes 190 MB.
npm install --prefix "$to/packages" --silent --no-audit --no-fund --ignore-scripts \
  playwright-core@1.65.1 esbuild@0.28.2 @eyevinn/whip-web-client@1.1.7 @eyevinn/webrtc-player@0.13.0 whip-whep@1.2.0 \
  @binbat/whip-whep@1.1.1-sdp-trickle-throw @cameronelliott/whip-whep@1.100.1 mediamtx-webrtc-react@0.1.0 \
  react@18.3.1 react-dom@18.3.1 simple-webrtc-element-whep@0.2.3 @livepeer/core-web@5.2.6 ovenlivekit@1.5.8
