#!/usr/bin/env bash
# The task queue by itself, on the empty database of DATABASE_URL: draining a backlog at the shipped
# defaults and tuned, latency of single tasks while idle, both again beside a million ended tasks, and
# latency while a long transaction keeps vacuum from removing anything. Takes some five minutes.
#
# Usage: DATABASE_URL=… benches/queue.sh [path of paraplanner]      (needs psql)
set -euo pipefail
paraplanner="${1:-target/release/paraplanner}"
tasks="${TASKS:-50000}"
rounds="${ROUNDS:-3}"
: "${DATABASE_URL:?names an empty database}"
export LOG_LEVEL=error
sql() { psql --quiet --no-align --tuples-only --command "$1" "$DATABASE_URL"; }
result() { "$paraplanner" bench-queue "$@" | sed -n 's/^RESULT //p'; }
counters() { sql "select (select wal_bytes from pg_stat_wal), (select xact_commit from pg_stat_database where datname = current_database())"; }

drain() { # label, concurrency
    local before after
    result load "$tasks" >/dev/null
    before="$(counters)"
    printf '%s: %s' "$1" "$(WORKER_MAX_CONCURRENT="$2" result drain "$tasks")"
    after="$(counters)"
    awk -v tasks="$tasks" -v before="$before" -v after="$after" 'BEGIN {
        split(before, b, "|"); split(after, a, "|")
        printf " wal_bytes/task %.0f commits/task %.3f\n", (a[1] - b[1]) / tasks, (a[2] - b[2]) / tasks }'
}

# Polling is as good as off: what is measured is the wake-up.
latency() { # label, rate, seconds
    printf '%s: %s\n' "$1" "$(WORKER_POLL_INTERVAL=60 result latency "$2" "$3")"
}

result load 10 >/dev/null
result drain 10 >/dev/null
for _ in $(seq "$rounds"); do
    drain "drain, 10 at once" 10
    drain "drain, 250 at once" 250
done
latency "latency at 50/s" 50 20

sql "insert into ended_tasks (id, public_id, user_id, kind, payload, state, priority, run_at, attempts,
        max_attempts, fence, progress_done, progress_total, created_at, finished_at)
    select 1000000000 + n, gen_random_uuid(), (select min(id::text)::uuid from users), 'bench_nothing', '{}',
        4, 10, now(), 1, 5, 1, 0, 0, now(), now()
    from generate_series(1, 1000000) as n"
# What the insert itself still costs isn't what is measured.
sql "vacuum analyze ended_tasks"
sql "checkpoint"
for _ in $(seq "$rounds"); do
    drain "drain beside 1,000,000 ended, 10 at once" 10
    drain "drain beside 1,000,000 ended, 250 at once" 250
done

latency "latency at 200/s" 200 60
psql --quiet "$DATABASE_URL" >/dev/null <<<"begin isolation level repeatable read; select count(*) from tasks; select pg_sleep(75);" &
sleep 1
latency "latency at 200/s beside a held snapshot" 200 60
wait
