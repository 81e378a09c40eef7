#!/usr/bin/env bash
# Backs up a database with a book in it by pg_dump, restores it beside, and starts the program on the copy: every
# table has the rows that it had, its user signs in, and the activity log verifies. Needs pg_dump and pg_restore of the
# database's version (PG_BIN), or takes those of the embedded Postgres.
set -euo pipefail
cd "$(dirname "$0")/.."

program="${CARGO_TARGET_DIR:-target}/debug/paraplanner"
[ -x "$program" ] || cargo build --locked --quiet
folder="$(mktemp -d)"
chmod 755 "$folder"
mkfifo "$folder/stop"
DATABASE_URL='' DATA_DIR="$folder/data" "$program" database <"$folder/stop" >"$folder/url" 2>"$folder/database.log" &
exec 3>"$folder/stop"
server=
trap 'kill $server 2>/dev/null || true; exec 3>&-; wait; rm -rf "$folder"' EXIT
until [ -s "$folder/url" ]; do sleep 0.1; done
url="$(cat "$folder/url")"
copy="${url%/*}/restored"
bin="${PG_BIN:-$(dirname "$(readlink -f "/proc/$(head -1 "$folder"/data/postgres/postmaster.pid)/exe")")}"

# serve <url>: starts the program on a database, and signs in.
serve() {
    mkdir -p "$folder/home"
    DATABASE_URL="$1" DATA_DIR="$folder/home" DEMO_MODE=true PORT=0 "$program" serve >"$folder/out" 2>"$folder/log" &
    server=$!
    until [ -s "$folder/out" ]; do
        kill -0 $server || { cat "$folder/log" >&2; exit 1; }
        sleep 0.1
    done
    base="http://localhost:$(sed -n '1s/.*:\([0-9]*\)$/\1/p' "$folder/out")"
    curl -sf -c "$folder/cookies" -o /dev/null -X POST "$base/api/auth/demo" -H "origin: $base"
}
ask() { curl -sf -b "$folder/cookies" -H "origin: $base" -H "content-type: application/json" "$@"; }
stop() {
    kill $server
    wait $server || true
    server=
    rm -f "$folder/out"
}
# The rows of each table but those that signing in and working change.
rows() {
    "$bin/psql" -qtA "$1" -c "select table_name from information_schema.tables where table_schema = 'public' and
        table_type = 'BASE TABLE' and table_name not in ('sessions', 'tasks', 'ended_tasks', 'task_steps', 'task_schedules',
        'instances', 'task_events', 'task_waits') order by 1" |
        while read -r table; do
            printf '%s %s\n' "$table" "$("$bin/psql" -qtA "$1" -c "select count(*) from \"$table\"")"
        done
}

serve "$url"
ask -X POST "$base/api/demo/book" -o /dev/null
ask -X PUT "$base/api/settings" -d '{"instructions": "Be brief."}' -o /dev/null
for _ in $(seq 600); do
    left="$(ask "$base/api/tasks?state=pending&limit=1")$(ask "$base/api/tasks?state=in_progress&limit=1")"
    case "$left" in *'"id"'*) sleep 0.5 ;; *) break ;; esac
done
stop
rows "$url" >"$folder/before"
"$bin/pg_dump" --format=custom --file="$folder/backup" "$url"
"$bin/psql" -q "$url" -c "create database restored"
"$bin/pg_restore" --exit-on-error --dbname="$copy" "$folder/backup"
rows "$copy" >"$folder/after"
diff "$folder/before" "$folder/after"
serve "$copy"
ask "$base/api/activity/verify" | grep -q '"ok":true'
found="$(ask -X POST "$base/api/embeddings/search" -d '{"query": "retire"}')"
grep -q '"source_id"' <<<"$found"
stop
echo "$(wc -l <"$folder/after") tables, $(awk '{ rows += $2 } END { print rows }' "$folder/after") rows: restored, verified and searched"
