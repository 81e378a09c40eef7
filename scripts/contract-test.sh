#!/usr/bin/env bash
# Holds the running program against its own contract with schemathesis, all checks: by token, in person, and as a
# stranger. EXAMPLES sets how many inputs are made for each operation and phase; SEED which ones.
set -euo pipefail
cd "$(dirname "$0")/.."
examples="${EXAMPLES:-12}"
seed="${SEED:-20261130}"

tools="${CARGO_TARGET_DIR:-target}/schemathesis"
if [ ! -x "$tools/bin/st" ]; then
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore \
        --target "$tools" 'schemathesis==4.32.5'
fi
tools="$(cd "$tools" && pwd)"
cargo build --locked --quiet
folder="$(mktemp -d)"
chmod 755 "$folder"
trap 'kill $server 2>/dev/null || true; wait; rm -rf "$folder"' EXIT
DATABASE_URL='' PORT=0 DEMO_MODE=true DATA_DIR="$folder/data" LOG_LEVEL=warn \
    RATE_LIMIT_PER_USER=0 RATE_LIMIT_GLOBAL=0 RATE_LIMIT_WEBHOOKS=0 \
    "${CARGO_TARGET_DIR:-target}/debug/paraplanner" >"$folder/out" 2>"$folder/log" &
server=$!
until [ -s "$folder/out" ]; do
    kill -0 $server || { cat "$folder/log" >&2; exit 1; }
    sleep 0.1
done
base="http://localhost:$(sed -n '1s/.*:\([0-9]*\)$/\1/p' "$folder/out")"

curl -sf -c "$folder/cookies" -H "Origin: $base" -X POST "$base/api/auth/demo" >/dev/null
cookie="session=$(awk '$6 == "session" { print $7 }' "$folder/cookies")"
# Something to ask for.
curl -sf -b "$cookie" -H "Origin: $base" -X POST "$base/api/demo/book" >/dev/null
token="$(curl -sf -b "$cookie" -H "Origin: $base" -H 'Content-Type: application/json' \
    -d '{"name": "contract", "scopes": ["read", "write", "approve"]}' "$base/api/auth/tokens" |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["token"])')"

# check <name> <arguments>
failed=0
check() {
    printf '\n-- %s\n' "$1"
    PYTHONPATH="$tools" python3 "$tools/bin/st" --config-file "${config:-scripts/schemathesis.toml}" run "$base/openapi.json" \
        --max-examples "$examples" --seed "$seed" --generation-database none --workers 1 --no-color \
        --request-timeout 40 --warnings off "${@:2}" || failed=1
}
# The token, told so that schemathesis can leave it out and put another in its place.
export CONTRACT_TOKEN="$token"
{
    cat scripts/schemathesis.toml
    printf '\n[auth.openapi.token]\nbearer = "${CONTRACT_TOKEN}"\n'
} >"$folder/token.toml"
# A stream without an end would keep it waiting.
config="$folder/token.toml" check "by token" --exclude-path /api/events
# What a token may not. A sign-out would end the session that the others need.
check "in person" -H "Cookie: $cookie" -H "Origin: $base" --phases coverage,fuzzing --exclude-checks ignored_auth \
    --include-path-regex '^/api/(auth|account/)' --exclude-path /api/auth/logout --exclude-path /api/auth/demo \
    --exclude-path /api/auth/local
check "as a stranger" --phases coverage,fuzzing
if grep -h '"level":"ERROR"' "$folder/log"; then
    failed=1
fi
exit $failed
