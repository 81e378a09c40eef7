//! `paraplanner eval`: the advisor set against the real import and search; prints nDCG, recall and
//! refusals by group. Uses a database of its own, so that nobody's book is touched.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use chrono::NaiveDate;
use uuid::Uuid;

use crate::agent;
use crate::app;
use crate::config::Config;
use crate::db::{Database, UserScope};
use crate::demo::{self, Answer, SourceKey};
use crate::identity;
use crate::ingest;
use crate::retrieval::{self, SearchRequest};
use crate::state::App;

/// The set is the same for everybody: seed and day are part of its definition.
const SEED: u64 = 20_261_123;

/// Imports the set once, asks every question, prints the table (or JSON).
pub async fn run(mut config: Config, clients: usize, json: bool) -> anyhow::Result<ExitCode> {
    config.database.url = None;
    config.database.data_dir = config.database.data_dir.join("eval");
    let today = NaiveDate::from_ymd_opt(2026, 11, 23).unwrap_or_default();
    let database = Database::open(&config.database).await?;
    let app = app::build(config, &database, SocketAddr::from(([127, 0, 0, 1], 0)))?;
    app.background
        .spawn(app::worker(&app, &database).run(app.stopping.clone(), Duration::from_secs(5)));
    app.background.close();
    let name = format!("advisor-set-{SEED}-{clients}@eval.example");
    let scope = identity::demo_advisor(&app.pool, &app.clock, &name).await?;
    let book = demo::generate(SEED, clients, today);
    ingest::import_book(&app, &scope, &book, |_| {}).await?;
    wait_for_vectors(&app, &scope).await?;

    let questions = demo::questions(&book, SEED);
    let keys = source_keys(&app, &scope).await?;
    let mut answers = Vec::with_capacity(questions.len());
    for question in &questions {
        let request = SearchRequest {
            query: question.text.clone(),
            top_k: 10,
            ..SearchRequest::default()
        };
        let hits = retrieval::search(&app, &scope, &request).await?;
        answers.push(Answer {
            question: question.id.clone(),
            refused: !agent::is_about(&app, &scope, &question.text, &hits).await?,
            ranked: hits
                .iter()
                .filter_map(|hit| keys.get(&hit.source_id).cloned())
                .collect(),
        });
    }
    let report = demo::score(&questions, &answers);
    if json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{}", report.table());
    }
    app.stopping.cancel();
    app.background.wait().await;
    database.close().await;
    Ok(ExitCode::SUCCESS)
}

async fn wait_for_vectors(app: &App, scope: &UserScope) -> anyhow::Result<()> {
    loop {
        let mut tx = scope.begin(&app.pool).await?;
        let status = retrieval::index_status(&mut tx).await?;
        drop(tx);
        if status.waiting == 0 {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// What the set calls each stored source.
async fn source_keys(app: &App, scope: &UserScope) -> anyhow::Result<HashMap<Uuid, SourceKey>> {
    let mut tx = scope.begin(&app.pool).await?;
    let user_id = tx.user_id();
    let rows = sqlx::query!(
        r#"
        select 'mail' as "kind!", id as "id!", message_id as "key!" from emails where user_id = $1
        union all select 'event', id, uid from calendar_events where user_id = $1
        union all select 'contact', id, uid from contacts where user_id = $1 and uid is not null
        union all select 'note', id, file_name from documents where user_id = $1
        "#,
        user_id,
    )
    .fetch_all(&mut *tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let key = match row.kind.as_str() {
                "mail" => SourceKey::Mail(row.key),
                "event" => SourceKey::Event(row.key),
                "contact" => SourceKey::Contact(row.key),
                _ => SourceKey::Note(row.key),
            };
            (row.id, key)
        })
        .collect())
}
