#!/usr/bin/env bash
# Google's official Python client against the simulated Gmail and Calendar: every reply is held against
# the client's own schemas.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --locked --quiet
folder="$(mktemp -d)"
server=
trap '[ -z "$server" ] || kill $server || true; wait; rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore \
    --target "$folder/packages" -r tests/google-client/requirements.txt
"${CARGO_TARGET_DIR:-target}/debug/paraplanner" simulator >"$folder/out" 2>"$folder/log" &
server=$!
until [ -s "$folder/out" ]; do
    kill -0 $server || { cat "$folder/log" >&2; exit 1; }
    sleep 0.1
done
PYTHONPATH="$folder/packages" python3 tests/google-client/check.py "$(sed -n '1s/^simulator listening on //p' "$folder/out")"
