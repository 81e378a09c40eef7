#!/usr/bin/env bash
# Fuzzes every parser of what strangers send, with libFuzzer and its coverage, on the stable compiler:
#
#   scripts/fuzz.sh [seconds for each, 6] [parser…]
#
# A panic, a failed assertion, an input that takes over a second or more than 256 MiB beyond what an idle process holds
# ends it, and is left in fuzz/artifacts. What it found worth keeping is in target/fuzz/corpus. RUNS bounds by number
# instead of time. Only the program is compiled anew, with counters (fuzz/instrument.sh); what it depends on is taken
# from the project's own target folder, and no sanitizer is needed: there is no unsafe code of ours.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds="${1:-6}"
shift || true
parsers=("$@")
[ ${#parsers[@]} -gt 0 ] || parsers=(mime html pdf mbox ics vcf csv rule hubspot signature push jwt chat forwarded)

target="$(realpath -m "${CARGO_TARGET_DIR:-target}")"
# The project's versions; cargo adds libFuzzer's.
cp Cargo.lock fuzz/Cargo.lock
(cd fuzz && RUSTC_WRAPPER="$PWD/instrument.sh" CARGO_TARGET_DIR="$target" ${CARGO:-cargo} build --quiet)
work="$target/fuzz/corpus"
mkdir -p fuzz/artifacts

# What the process holds before it has read anything.
idle="$(FUZZ_TARGET=rule "$target/debug/parsers" -runs=1 2>&1 | sed -n 's/.*DONE.* rss: \([0-9]*\)Mb.*/\1/p')"
for parser in "${parsers[@]}"; do
    mkdir -p "$work/$parser"
    log="$target/fuzz/$parser.log"
    bound=(-max_total_time="$seconds")
    [ -z "${RUNS:-}" ] || bound=(-runs="$RUNS")
    if ! FUZZ_TARGET="$parser" "$target/debug/parsers" "${bound[@]}" -timeout=30 -rss_limit_mb=$((${idle:-100} + 256)) \
        -max_len=65536 -print_final_stats=1 -artifact_prefix="fuzz/artifacts/$parser-" \
        "$work/$parser" "fuzz/corpus/$parser" >"$log" 2>&1; then
        tail -40 "$log"
        echo "$parser: see above"
        exit 1
    fi
    awk -v parser="$parser" '/stat::number_of_executed_units/ { runs = $2 } /stat::peak_rss_mb/ { rss = $2 }
        /stat::slowest_unit_time_sec/ { slow = $2 } END {
        printf "%-10s %10d inputs, slowest %d s, at most %d MiB\n", parser, runs, slow, rss }' "$log"
done
