//! A production start that isn't fit for strangers ends with one line that names the variable.

use std::process::Command;

use paraplanner::db::server::{Durability, Lifetime, Options, Server};
use sqlx::{Connection as _, Executor as _, PgConnection};
use tempfile::TempDir;

use crate::process::{Program, command, output, text};
use crate::server::TestDatabase;

const GOOD: &[(&str, &str)] = &[
    ("APP_ENV", "production"),
    ("SECRET_KEY", "q8Zt3LkP0vYw7RbN5xJ2mHs9DfGcUeA1"),
    ("PUBLIC_URL", "https://planner.example.com"),
    ("METRICS_TOKEN", "7hG2kQ9sVw4n"),
    ("BIND_ADDRESS", "127.0.0.1"),
];

/// A sound production's settings with these changed; an empty value is none.
fn production(database: &str, changed: &[(&str, &str)]) -> (TempDir, Command) {
    let folder = TempDir::new().unwrap();
    let mut command = command(folder.path());
    command
        .env_remove("DEMO_MODE")
        .env("DATABASE_URL", database)
        .envs(GOOD.iter().copied())
        .envs(changed.iter().copied());
    (folder, command)
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_bad_configurations_are_refused_by_name() {
    let url = TestDatabase::create().await.url();
    let bad: &[(&str, &[(&str, &str)])] = &[
        ("SECRET_KEY", &[("SECRET_KEY", "")]),
        ("SECRET_KEY", &[("SECRET_KEY", "q8Zt3LkP0vYw7RbN5xJ2")]),
        (
            "SECRET_KEY",
            &[("SECRET_KEY", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")],
        ),
        (
            "SECRET_KEY",
            &[("SECRET_KEY", "abcabcabcabcabcabcabcabcabcabcabcabc")],
        ),
        (
            "SECRET_KEY",
            &[("SECRET_KEY", "change-me-to-something-long-and-random-1")],
        ),
        (
            "SECRET_KEY",
            &[("SECRET_KEY", "this-is-an-example-of-a-key-4f8a91c2d7")],
        ),
        (
            "TOKEN_ENCRYPTION_KEYS",
            &[("TOKEN_ENCRYPTION_KEYS", "a:c2hvcnQ=")],
        ),
        ("DATABASE_URL", &[("DATABASE_URL", "")]),
        (
            "DATABASE_URL",
            &[("DATABASE_URL", "mysql://app@db.internal/app")],
        ),
        ("PUBLIC_URL", &[("PUBLIC_URL", "")]),
        (
            "PUBLIC_URL",
            &[("PUBLIC_URL", "http://planner.example.com")],
        ),
        ("PUBLIC_URL", &[("PUBLIC_URL", "https://*.example.com")]),
        ("FRONTEND_URL", &[("FRONTEND_URL", "*")]),
        (
            "FRONTEND_URL",
            &[("FRONTEND_URL", "http://app.example.com")],
        ),
        ("DEMO_MODE", &[("DEMO_MODE", "true")]),
        ("DEMO_CONTROLS", &[("DEMO_CONTROLS", "true")]),
        ("FAIL_POINTS", &[("FAIL_POINTS", "tasks.claimed=1")]),
        (
            "METRICS_TOKEN",
            &[("METRICS_TOKEN", ""), ("BIND_ADDRESS", "0.0.0.0")],
        ),
        (
            "OPENAI_BASE_URL",
            &[("OPENAI_BASE_URL", "http://models.example.com/v1")],
        ),
        (
            "GOOGLE_TOKEN_URL",
            &[
                ("GOOGLE_CLIENT_ID", "id"),
                ("GOOGLE_CLIENT_SECRET", "7hG2kQ9sVw4n"),
                ("GOOGLE_TOKEN_URL", "http://tokens.example.com/token"),
            ],
        ),
        ("HUBSPOT_CLIENT_SECRET", &[("HUBSPOT_CLIENT_ID", "id")]),
        (
            "SENTRY_DSN",
            &[("SENTRY_DSN", "http://key@errors.example.com/1")],
        ),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            &[(
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                "http://traces.example.com:4318",
            )],
        ),
    ];
    for (variable, changed) in bad {
        let (folder, mut command) = production(url.as_str(), changed);
        let ended = output(&mut command);
        let said = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(2), "{changed:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{changed:?}: {said}");
        assert!(said.starts_with(&format!("{variable}: ")), "{said}");
        for (_, value) in *changed {
            assert!(value.len() < 8 || !said.contains(value), "{said}");
        }
        assert!(ended.stdout.is_empty());
        assert!(!folder.path().join("data").exists(), "nothing was made");
    }
    // What they were changed from is fine.
    let (_folder, mut command) = production(url.as_str(), &[]);
    let program = Program::of(&mut command);
    assert_eq!(program.terminate().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_can_see_everybodys_rows_is_refused() {
    // A server of its own: roles are all databases'.
    let folder = TempDir::new().unwrap();
    let server = Server::start(&Options {
        data_dir: folder.path().to_owned(),
        durability: Durability::Off,
        lifetime: Lifetime::WhileProcessLives(std::process::id()),
        max_connections: 20,
    })
    .await
    .unwrap();
    let url = server.url().expose().clone();
    let (_folder, mut command) = production(&url, &[]);
    assert_eq!(Program::of(&mut command).terminate().await, Some(0));
    let mut admin = PgConnection::connect(&url).await.unwrap();
    for power in ["superuser", "bypassrls"] {
        admin
            .execute(sqlx::AssertSqlSafe(format!(
                "alter role paraplanner_app {power}"
            )))
            .await
            .unwrap();
        let (_folder, mut command) = production(&url, &[]);
        let ended = output(&mut command);
        admin
            .execute(sqlx::AssertSqlSafe(format!(
                "alter role paraplanner_app no{power}"
            )))
            .await
            .unwrap();
        let said = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(1), "{power}: {said}");
        let last = said.lines().last().unwrap_or_default();
        assert!(
            last.contains("DATABASE_URL") && last.contains("paraplanner_app"),
            "{power}: {said}"
        );
    }
}
