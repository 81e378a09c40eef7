#!/usr/bin/env bash
# Runs the page's tests in Chromium against the real binary with a fresh database.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ -z "${CHROMIUM:-}" ] && ! command -v chromium >/dev/null; then
    apt-get update -qq
    apt-get install -y -qq chromium >/dev/null
fi
(cd tests/browser && npm ci --no-audit --no-fund --loglevel=error)
cargo build --locked --quiet
folder="$(mktemp -d)"
chmod 755 "$folder"
DATABASE_URL='' PORT=0 DEMO_MODE=true DATA_DIR="$folder/data" \
    "${CARGO_TARGET_DIR:-target}/debug/paraplanner" >"$folder/out" 2>"$folder/log" &
server=$!
trap 'kill $server 2>/dev/null; wait $server 2>/dev/null; rm -rf "$folder"' EXIT
until [ -s "$folder/out" ]; do
    kill -0 $server || { cat "$folder/log" >&2; exit 1; }
    sleep 0.1
done
port="$(sed -n 's/.*:\([0-9]*\)$/\1/p' "$folder/out")"
(cd tests/browser && BASE_URL="http://localhost:$port" npm test --silent)
