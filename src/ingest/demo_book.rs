//! Filling a book with the invented clients of `demo`, through the same import as anybody's files.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::local::{FileReport, import_file};
use super::routes::Queued;
use crate::db::UserScope;
use crate::demo::{self, Book};
use crate::http::{CurrentUser, Json, Problem, ProblemBody};
use crate::state::App;
use crate::tasks::{Context, Enqueue, Failure, Handler, OrFailure as _, Payload, Priority};

const SEED: u64 = 7;
/// Enough to ask about, quick to embed.
const CLIENTS: usize = 40;

/// "This advisor wants an invented book."
#[derive(Debug, Serialize, Deserialize)]
pub struct FillDemoBook {}

impl Payload for FillDemoBook {
    const KIND: &'static str = "fill_demo_book";
    const PRIORITY: Priority = Priority::Interactive;
}

/// The invented book as it stands on the morning of `today`; costs processor time.
pub fn demo_book(today: NaiveDate) -> Book {
    demo::generate(SEED, CLIENTS, today)
}

impl Handler<App> for FillDemoBook {
    async fn run(self, context: Context<App>) -> Result<Value, Failure> {
        let today = context.app.clock.now().date_naive();
        let book = tokio::task::spawn_blocking(move || demo_book(today))
            .await
            .or_retry()?;
        let reports = import_book(&context.app, &context.scope, &book, |_| {})
            .await
            .or_retry()?;
        Ok(json!({"files": reports.iter().map(report).collect::<Vec<_>>()}))
    }
}

fn report(file: &FileReport) -> Value {
    json!({
        "name": file.name,
        "imported": file.imported,
        "unchanged": file.unchanged,
        "unreadable_count": file.unreadable.len(),
        "unreadable": file.unreadable,
    })
}

/// Queues the filling, once at a time; the task's id.
pub async fn fill_demo_book(
    app: &App,
    scope: &UserScope,
    request_id: Option<String>,
) -> anyhow::Result<Uuid> {
    let mut tx = scope.begin(&app.pool).await?;
    let once = Enqueue {
        unique_key: Some("demo".to_owned()),
        request_id,
        ..Enqueue::default()
    };
    let task_id = app.tasks.enqueue(&mut tx, &FillDemoBook {}, once).await?;
    tx.commit().await?;
    app.tasks.wake();
    Ok(task_id)
}

/// Writes the book as the files an advisor would have, and imports them.
pub async fn import_book(
    app: &App,
    scope: &UserScope,
    book: &Book,
    mut progress: impl FnMut(&FileReport),
) -> anyhow::Result<Vec<FileReport>> {
    let folder = tempfile::tempdir().context("making a folder for the book")?;
    let mut reports = Vec::new();
    for path in write(book, folder.path())? {
        let report = import_file(app, scope, &path, |_| {}).await?;
        progress(&report);
        reports.push(report);
    }
    Ok(reports)
}

fn write(book: &Book, folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let create = |name: &str| -> anyhow::Result<(PathBuf, BufWriter<File>)> {
        let path = folder.join(name);
        let file = File::create(&path)?;
        Ok((path, BufWriter::new(file)))
    };
    let (mails, mut out) = create("Mail.mbox")?;
    book.write_mbox(&mut out)?;
    drop(out);
    let (contacts, mut out) = create("Contacts.vcf")?;
    book.write_vcf(&mut out)?;
    drop(out);
    let (calendar, mut out) = create("Calendar.ics")?;
    book.write_ics(&mut out)?;
    drop(out);
    let notes = folder.join("notes");
    std::fs::create_dir(&notes)?;
    book.write_notes(&notes)?;
    let mut paths = vec![contacts, calendar, mails];
    for entry in std::fs::read_dir(&notes)? {
        paths.push(entry?.path());
    }
    Ok(paths)
}

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(fill))
}

/// Fills the user's book with invented clients. Where demo or local sign-in is offered only.
#[utoipa::path(post, path = "/api/demo/book", tag = "demo", responses(
    (status = 202, body = Queued), (status = 401, body = ProblemBody), (status = 404, body = ProblemBody)))]
async fn fill(
    State(app): State<App>,
    CurrentUser(scope): CurrentUser,
) -> Result<(StatusCode, Json<Queued>), Problem> {
    if !app.config.demo.mode && !app.config.demo.local_sign_in {
        return Err(Problem::not_found());
    }
    let task_id = fill_demo_book(&app, &scope, None).await?;
    Ok((StatusCode::ACCEPTED, Json(Queued { task_id })))
}
