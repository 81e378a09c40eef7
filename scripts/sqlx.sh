#!/usr/bin/env bash
# Checks every query in the source against a real, migrated database and writes .sqlx anew.
set -euo pipefail
cd "$(dirname "$0")/.."

target="${CARGO_TARGET_DIR:-target}"
[ -x "$target/debug/paraplanner" ] || cargo build --quiet
folder="$(mktemp -d)"
chmod 755 "$folder"
# The copy outlives the check, which may replace the binary.
cp "$target/debug/paraplanner" "$folder/paraplanner"
mkfifo "$folder/stop"
DATABASE_URL='' DATA_DIR="$folder/data" "$folder/paraplanner" database <"$folder/stop" >"$folder/url" &
exec 3>"$folder/stop"
trap 'exec 3>&-; wait; rm -rf "$folder"' EXIT
until [ -s "$folder/url" ]; do
    kill -0 $! || { echo "the database did not start" >&2; exit 1; }
    sleep 0.1
done

rm -rf .sqlx
mkdir .sqlx
touch src/lib.rs
SQLX_OFFLINE=false SQLX_OFFLINE_DIR="$PWD/.sqlx" DATABASE_URL="$(cat "$folder/url")" cargo check --quiet --all-targets
