#!/usr/bin/env bash
# Tencent's own chat clients, unmodified, against the embedded chat: TIM web SDK 2.7.6 in Chromium (tim-js-sdk) and in a mini-program's
# place (tim-wx-sdk): tests/clients/tim.sh [roomservice]. The name that they ask leads to a server of this script's own.
# TIM_JS and TIM_WX name other versions of them.
# WEBIM=webim.js runs webim 1.7 in the same rooms, too: component/webim.js of TencentVideoCloudMLVBDev/webrtc_web_source.
set -euo pipefail
. "$(dirname "$0")/server.sh"

npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$scratch" \
  "tim-js-sdk@${TIM_JS:-2.7.6}" "tim-wx-sdk@${TIM_WX:-2.7.6}" playwright-core@1.56.1 regenerator-runtime@0.13.11
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=chat -keyout "$scratch/key.pem" \
  -out "$scratch/cert.pem" -addext subjectAltName=DNS:webim.tim.qq.com,DNS:api.im.qcloud.com,IP:127.0.0.1 2>/dev/null

export ROOMSERVICE_TLS__CERTIFICATE=$scratch/cert.pem ROOMSERVICE_TLS__KEY=$scratch/key.pem
base=https://$ROOMSERVICE_HTTP__LISTEN
start_server
NODE_EXTRA_CA_CERTS=$scratch/cert.pem NODE_MODULES=$scratch/node_modules timeout 300 node "$root/tests/clients/tim.mjs" "$base" ||
  { cat "$scratch/log"; exit 1; }
