#!/usr/bin/env bash
# The official MCP clients, in Python and TypeScript, against the real binary with the demo's book.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --locked --quiet
folder="$(mktemp -d)"
chmod 755 "$folder"
server=
trap '[ -z "$server" ] || kill $server || true; wait; rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore \
    --target "$folder/packages" -r tests/mcp-clients/requirements.txt
(cd tests/mcp-clients && npm ci --no-audit --no-fund --loglevel=error)
# Two clients and all of their checks are one user within seconds.
DATABASE_URL='' PORT=0 DATA_DIR="$folder/data" RATE_LIMIT_PER_USER=0 \
    "${CARGO_TARGET_DIR:-target}/debug/paraplanner" demo >"$folder/out" 2>"$folder/log" &
server=$!
until grep -q '^listening on' "$folder/out" 2>/dev/null; do
    kill -0 $server || { cat "$folder/log" >&2; exit 1; }
    sleep 0.1
done
port="$(sed -n 's/^listening on .*:\([0-9]*\)$/\1/p' "$folder/out")"
export BASE_URL="http://localhost:$port"
ADVISORS="$(node tests/mcp-clients/advisors.mjs)"
export ADVISORS
PYTHONPATH="$folder/packages" python3 tests/mcp-clients/check.py
(cd tests/mcp-clients && node --test clients.test.mjs)
# It ends when it is asked to, with 0.
kill $server
wait $server
server=
