#!/usr/bin/env bash
# Runs the page's tests in Chromium against the real binary, each with a fresh database. With the argument
# `pictures` it makes those of the README instead.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ -z "${CHROMIUM:-}" ] && ! command -v chromium >/dev/null; then
    apt-get update -qq
    apt-get install -y -qq chromium >/dev/null
fi
# The replies that the stories bring about are held against the contract by what tests/clients has.
for packages in tests/clients tests/browser; do
    (cd "$packages" && npm ci --no-audit --no-fund --loglevel=error)
done
cargo build --locked --quiet
folder="$(mktemp -d)"
chmod 755 "$folder"
server=
simulator=
trap 'kill $server $simulator 2>/dev/null || true; wait; rm -rf "$folder"' EXIT
program="${CARGO_TARGET_DIR:-target}/debug/paraplanner"

# story <script of package.json> [<command of the program>]
story() {
    local own="$folder/$1"
    mkdir "$own"
    chmod 755 "$own"
    # Dozens of stories are one user within minutes; how much a page asks is counted by one of them.
    DATABASE_URL='' PORT=0 DEMO_MODE=true DATA_DIR="$own/data" RATE_LIMIT_PER_USER=0 RATE_LIMIT_LLM_PER_USER=0 \
        "$program" "${@:2}" >"$own/out" 2>"$own/log" &
    server=$!
    until [ -s "$own/out" ]; do
        kill -0 $server || { cat "$own/log" >&2; exit 1; }
        sleep 0.1
    done
    port="$(sed -n '1s/.*:\([0-9]*\)$/\1/p' "$own/out")"
    (cd tests/browser && BASE_URL="http://localhost:$port" npm run "$1" --silent)
    kill $server
    wait $server || true
    server=
}

# Beside the simulated providers and their model, which the stories tell what to do.
with_providers() {
    PORT=0 "$program" simulator >"$folder/providers" 2>"$folder/providers.log" &
    simulator=$!
    until grep -q HUBSPOT_API_URL "$folder/providers"; do
        kill -0 $simulator || { cat "$folder/providers.log" >&2; exit 1; }
        sleep 0.1
    done
    sleep 0.2
    set -a
    # shellcheck disable=SC1090
    . <(grep -E '^[A-Z_]+=' "$folder/providers")
    SIMULATOR="$GMAIL_API_URL" OPENAI_BASE_URL="$GMAIL_API_URL/v1" OPENAI_API_KEY=any
    OPENAI_CHAT_MODEL=simulated-chat DEMO_CONTROLS=true
    set +a
}

if [ "${1:-}" = pictures ]; then
    with_providers
    story pictures
    exit
fi
story page
story trouble
story stress
story demo demo
with_providers
story rooms
FRONTEND_URL="http://localhost:$(node -e 'const s = require("net").createServer().listen(0, () => { console.log(s.address().port); s.close(); })')"
export FRONTEND_URL
story frontend
