# Shortcuts; nothing here is needed to build or test. Bare `just` lists them.

[private]
default:
    @just --list

# Serve at http://127.0.0.1:8000
run *arguments:
    cargo run -- {{arguments}}

# Serve with an invented book of clients
demo:
    cargo run -- demo

# All tests but the browser's
test:
    cargo test --locked

# Warnings are errors, as in ci
lint:
    cargo fmt --all --check
    cargo clippy --locked --all-targets -- -D warnings

# Check every query against a real database and write .sqlx anew
sqlx:
    scripts/sqlx.sh

# Measure retrieval on the project's own advisor set
bench:
    cargo run --release --locked -- eval

# Measure the task queue on the empty database of DATABASE_URL
bench-queue:
    cargo build --release --locked
    benches/queue.sh

# Fuzz every parser of what strangers send
fuzz seconds="6":
    scripts/fuzz.sh {{seconds}}

# Steady load, and whether anything grows
soak minutes="30":
    scripts/soak.sh {{minutes}}

# What has to pass before a merge; needs cargo-deny
ci: lint test sqlx
    git diff --exit-code .sqlx && test -z "$(git status --porcelain .sqlx)" && cargo deny check
