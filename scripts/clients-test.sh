#!/usr/bin/env bash
# The published contract and its clients: its examples are true to its schemas, the page's own calls and a generated
# client are type-checked against it, and the official clients, unmodified, talk to the real binary.
set -euo pipefail
cd "$(dirname "$0")/.."

(cd tests/clients && npm ci --no-audit --no-fund --loglevel=error)
cargo build --locked --quiet
program="$PWD/${CARGO_TARGET_DIR:-target}/debug/paraplanner"
folder="$(mktemp -d)"
chmod 755 "$folder"
server=
simulator=
trap 'kill $server $simulator 2>/dev/null || true; wait; rm -rf "$folder"' EXIT

"$program" openapi >tests/clients/openapi.json
cd tests/clients
npm run --silent contract
npm run --silent types
npm run --silent page
npm run --silent typed

: >"$folder/providers"
PORT=0 "$program" simulator >>"$folder/providers" 2>"$folder/providers.log" &
simulator=$!
until grep -q HUBSPOT_API_URL "$folder/providers"; do
    kill -0 $simulator || { cat "$folder/providers.log" >&2; exit 1; }
    sleep 0.1
done
sleep 0.2
set -a
# shellcheck disable=SC1090
. <(grep -E '^[A-Z_]+=' "$folder/providers")
set +a
mkdir "$folder/own"
chmod 755 "$folder/own"
DATABASE_URL='' PORT=0 DATA_DIR="$folder/own/data" OPENAI_BASE_URL="$GMAIL_API_URL/v1" OPENAI_API_KEY=any \
    OPENAI_CHAT_MODEL=simulated-chat RATE_LIMIT_PER_USER=0 RATE_LIMIT_LLM_PER_USER=0 "$program" >"$folder/out" 2>"$folder/log" &
server=$!
until [ -s "$folder/out" ]; do
    kill -0 $server || { cat "$folder/log" >&2; exit 1; }
    sleep 0.1
done
port="$(sed -n '1s/.*:\([0-9]*\)$/\1/p' "$folder/out")"
BASE_URL="http://localhost:$port" SIMULATOR="$GMAIL_API_URL" npm run --silent clients
