//! Reading a file of this machine into the book, for `paraplanner import` and the demo.
//!
//! No upload, no task: the file itself is the source to go on from, and importing again adds
//! nothing. Vectors are left to the `Embed` task.

use std::fs::File;
use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;
use serde_json::Value;

use super::batch::Batch;
use super::documents::{Gathered, read_in_background};
use super::files::Resume;
use crate::book::Origin;
use crate::db::UserScope;
use crate::retrieval::Embed;
use crate::state::App;
use crate::tasks::Enqueue;

/// What became of one file.
#[derive(Debug, Default, Serialize)]
pub struct FileReport {
    pub name: String,
    pub imported: u64,
    pub unchanged: u64,
    /// List of `{position, reason}`.
    pub unreadable: Vec<Value>,
}

/// Imports a file; `progress` is told bytes done after each batch.
pub async fn import_file(
    app: &App,
    scope: &UserScope,
    path: &Path,
    mut progress: impl FnMut(u64),
) -> anyhow::Result<FileReport> {
    let name = path.file_name().map_or_else(
        || path.display().to_string(),
        |name| name.to_string_lossy().into_owned(),
    );
    let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let mut items = read_in_background(&name, Box::new(file), Resume::default());
    let mut report = FileReport {
        name,
        ..FileReport::default()
    };
    let mut gathered = Gathered::default();
    loop {
        let next = items.recv().await;
        let ended = next.is_none();
        if let Some(located) = next {
            gathered.add(located.with_context(|| format!("reading {}", path.display()))?);
        }
        if gathered.is_full() || (ended && !gathered.is_empty()) {
            let place = gathered.next_offset;
            store(app, scope, std::mem::take(&mut gathered), &mut report).await?;
            progress(place);
        }
        if ended {
            return Ok(report);
        }
    }
}

async fn store(
    app: &App,
    scope: &UserScope,
    gathered: Gathered,
    report: &mut FileReport,
) -> anyhow::Result<()> {
    let (preparing, file_name) = (app.clone(), report.name.clone());
    let batch =
        tokio::task::spawn_blocking(move || Batch::prepare(gathered.items, &file_name, &preparing))
            .await?;
    let mut tx = scope.begin(&app.pool).await?;
    let counts = batch.store(&mut tx, app, Origin::File).await?.counts;
    if counts.imported > 0 {
        let once = Enqueue {
            unique_key: Some("embed".to_owned()),
            ..Enqueue::default()
        };
        app.tasks.enqueue(&mut tx, &Embed {}, once).await?;
    }
    tx.commit().await?;
    app.tasks.wake();
    app.metrics.imported(
        counts.imported,
        counts.unchanged,
        gathered.unreadable.len() as u64,
    );
    report.imported += counts.imported;
    report.unchanged += counts.unchanged;
    report.unreadable.extend(gathered.unreadable);
    Ok(())
}
