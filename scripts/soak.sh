#!/usr/bin/env bash
# Thirty minutes of steady load, or as many as are given: fails when memory, connections or descriptors grow.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --release --locked --quiet
exec python3 benches/soak.py "${CARGO_TARGET_DIR:-target}/release/paraplanner" "${1:-30}"
