#!/usr/bin/env bash
# Holds the alert rules against promtool, and the dashboard against its form. That every metric which they name is
# exported is a test of the program's own (tests/it/operations.rs).
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v promtool >/dev/null; then
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends prometheus >/dev/null
fi
promtool check rules deploy/prometheus/alerts.yml
promtool test rules deploy/prometheus/alerts.test.yml
python3 - <<'END'
import json
panels = json.load(open("deploy/grafana/paraplanner.json"))["panels"]
ids = [panel["id"] for panel in panels]
assert len(ids) == len(set(ids)), "panels share an id"
for panel in panels:
    assert panel["type"] == "row" or panel["targets"], panel["title"]
END
