#!/usr/bin/env bash
# Two instances whose limits are counted in one Redis, which goes away and comes back.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v redis-server >/dev/null; then
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends redis-server >/dev/null
fi
cargo test --locked --test it limits:: -- --ignored
