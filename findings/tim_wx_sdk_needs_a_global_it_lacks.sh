#!/usr/bin/env bash
# tim-wx-sdk 2.7.8, 2.8.5 and 2.9.0, for mini-programs, which have no global `regeneratorRuntime`; between them 2.7.6 and 2.10.1.
#
# Expected: each loads as the others do, since a package brings what its transpiled code needs.
# Seen: 2.7.6 and 2.10.1 load. The three between end at `require` with a ReferenceError: they use `regeneratorRuntime`, which is neither
# in the file nor a dependency in package.json. With regenerator-runtime 0.13.11 as that global they load, too.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
versions=(2.7.6 2.7.8 2.8.5 2.9.0 2.10.1)
npm install --silent --no-audit --no-fund --ignore-scripts regenerator-runtime@0.13.11 \
  $(for v in "${versions[@]}"; do echo "wx-$v@npm:tim-wx-sdk@$v"; done)

# What a mini-program has, as far as the SDK looks at it while it loads.
cat > platform.cjs <<'JS'
globalThis.wx = { getSystemInfoSync: () => ({ platform: 'devtools' }), request() {}, getStorageSync() {}, setStorageSync() {} };
JS
load() { # NAME [more arguments of node]
  node -r ./platform.cjs "${@:2}" -e '
    try { console.log(typeof require(process.argv[1]).create) } catch (error) { console.log(`${error.name}: ${error.message}`) }' "$1" |
    tail -1
}
declare -A seen
for v in "${versions[@]}"; do
  seen[$v]="$(load "wx-$v") / $(load "wx-$v" -r regenerator-runtime)"
  echo "tim-wx-sdk $v: ${seen[$v]}; dependencies: $(node -p "JSON.stringify(require('./node_modules/wx-$v/package.json').dependencies ?? {})")"
done
lacks='ReferenceError: regeneratorRuntime is not defined / function'
for v in 2.7.6 2.10.1; do [ "${seen[$v]}" = 'function / function' ]; done
for v in 2.7.8 2.8.5 2.9.0; do [ "${seen[$v]}" = "$lacks" ]; done
echo 'as found'
