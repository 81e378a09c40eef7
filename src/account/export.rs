//! Everything that is held on a user, as a zip that is written while it is read: page by page out of the database,
//! each page in a transaction of its own, so that a slow reader holds nothing but a few of them in memory.

use std::collections::{BTreeMap, HashSet};
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Bytes;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sqlx::AssertSqlSafe;
use tokio::sync::mpsc;
use uuid::Uuid;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::eml;
use super::tables::{EXPORTED, Exported, LEFT_OUT};
use crate::db::UserScope;
use crate::state::App;

/// Rows of one page; mails are long.
const PAGE: i64 = 200;
/// Pages, and pieces of the zip, that wait for a slow reader.
const AHEAD: usize = 4;
const PIECE: usize = 64 * 1024;

const README: &str = "\
Everything that Paraplanner holds on you, at the time of the export.

- profile.json: who you are here.
- <table>.jsonl: one JSON object a line, one line a row. Times are in UTC, binary values in hexadecimal.
- mail/<id>.eml: each mail of emails.jsonl as mail programs read it. Attachments aren't kept here.
- manifest.json: how many rows each file has and its SHA-256; and what isn't in the export, with the reason.

activity.jsonl is the log of what was done in your name. Its entries are chained: `hash` of each is the SHA-256 over
the hash of the one before (`place` says the order) and the entry's own content, so that a change shows.

The files are read one after the other: what changes while the export runs may stand in one file and not yet in
another.
";

/// Whose export is under way.
#[derive(Default)]
pub(super) struct Exports(Mutex<HashSet<Uuid>>);

/// Ends with the export.
pub(super) struct Turn(Arc<Exports>, Uuid);

impl Exports {
    /// One at a time for each user.
    pub fn begin(self: &Arc<Self>, user_id: Uuid) -> Option<Turn> {
        let mut going = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        going
            .insert(user_id)
            .then(|| Turn(Arc::clone(self), user_id))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut going = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        going.remove(&self.1);
    }
}

/// What goes into the zip.
enum Part {
    Begin(String),
    Lines(Vec<Value>),
    Whole(String, Vec<u8>),
}

/// Begins, and hands out the zip piece by piece. Ends when the reader goes away.
pub(super) fn stream(
    app: &App,
    scope: UserScope,
    turn: Turn,
) -> mpsc::Receiver<Result<Bytes, io::Error>> {
    let (parts, received) = mpsc::channel(AHEAD);
    let (pieces, body) = mpsc::channel(AHEAD);
    let reader = app.clone();
    app.background.spawn(async move {
        let _turn = turn;
        if let Err(error) = read(&reader, &scope, &parts).await {
            // The zip has no end then, which every reader of zips says.
            tracing::warn!(error = format!("{error:#}"), "an export broke off");
            return;
        }
        let _ = parts
            .send(Part::Whole("README.txt".to_owned(), README.into()))
            .await;
        reader.metrics.account("export");
    });
    app.background.spawn_blocking(move || {
        let broken = pieces.clone();
        if let Err(error) = write(received, pieces) {
            let _ = broken.blocking_send(Err(error));
        }
    });
    body
}

async fn read(app: &App, scope: &UserScope, parts: &mpsc::Sender<Part>) -> anyhow::Result<()> {
    let mut tx = scope.begin(&app.pool).await?;
    let profile: Value = sqlx::query_scalar("select to_jsonb(users) from users where id = $1")
        .bind(tx.user_id())
        .fetch_one(&mut *tx)
        .await?;
    tx.commit().await?;
    let profile = serde_json::to_vec_pretty(&profile)?;
    parts
        .send(Part::Whole("profile.json".to_owned(), profile))
        .await?;
    for exported in EXPORTED {
        let name = format!("{}.jsonl", exported.table);
        parts.send(Part::Begin(name)).await?;
        let mut pages = Pages::of(exported);
        while let Some(rows) = pages.next(app, scope).await? {
            parts.send(Part::Lines(rows)).await?;
        }
    }
    // A second time through the mails: a zip is written one file after the other.
    if let Some(emails) = EXPORTED.iter().find(|one| one.table == "emails") {
        let mut pages = Pages::of(emails);
        while let Some(rows) = pages.next(app, scope).await? {
            for row in rows {
                let Some(id) = row["id"].as_str() else {
                    continue;
                };
                let name = format!("mail/{id}.eml");
                parts.send(Part::Whole(name, eml::written(&row)?)).await?;
            }
        }
    }
    Ok(())
}

/// The rows of a table, page by page. Its name and columns come from the list in `tables`, never from outside.
struct Pages {
    query: String,
    without: Vec<String>,
    /// Where the page before ended.
    last: Option<Value>,
    is_over: bool,
    /// Has one row at most.
    is_single: bool,
}

impl Pages {
    fn of(exported: &Exported) -> Self {
        let columns: Vec<&str> = exported.order.iter().map(|(name, _)| *name).collect();
        let list = columns.join(", ");
        let after: Vec<String> = exported
            .order
            .iter()
            .enumerate()
            .map(|(place, (_, kind))| format!("($2::jsonb->>{place})::{kind}"))
            .collect();
        let after = after.join(", ");
        let rest = if columns.is_empty() {
            String::new()
        } else {
            format!("and ($2::jsonb is null or ({list}) > ({after})) order by {list}")
        };
        let query = format!(
            "select to_jsonb(one) - $4::text[] as row, jsonb_build_array({list}) as key
            from {} as one
            where user_id = $1 and $2::jsonb is not distinct from $2 {rest}
            limit $3",
            exported.table
        );
        let without = exported.without.iter().map(|name| (*name).to_owned());
        Self {
            query,
            without: without.collect(),
            last: None,
            is_over: false,
            is_single: columns.is_empty(),
        }
    }

    async fn next(&mut self, app: &App, scope: &UserScope) -> anyhow::Result<Option<Vec<Value>>> {
        if self.is_over {
            return Ok(None);
        }
        let mut tx = scope.begin(&app.pool).await?;
        let found: Vec<(Value, Value)> = sqlx::query_as(AssertSqlSafe(self.query.clone()))
            .bind(tx.user_id())
            .bind(&self.last)
            .bind(PAGE)
            .bind(&self.without)
            .fetch_all(&mut *tx)
            .await?;
        tx.commit().await?;
        self.is_over = self.is_single || i64::try_from(found.len())? < PAGE;
        self.last = found.last().map(|(_, key)| key.clone());
        let rows: Vec<Value> = found.into_iter().map(|(row, _)| row).collect();
        Ok((!rows.is_empty()).then_some(rows))
    }
}

/// Sends what is written on to the reader.
struct Pieces {
    sender: mpsc::Sender<Result<Bytes, io::Error>>,
    held: Vec<u8>,
}

impl Pieces {
    fn send(&mut self) -> io::Result<()> {
        let piece = Bytes::from(std::mem::take(&mut self.held));
        let gone = |_| io::Error::new(io::ErrorKind::BrokenPipe, "the reader went away");
        self.sender.blocking_send(Ok(piece)).map_err(gone)
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.held.extend_from_slice(bytes);
        if self.held.len() >= PIECE {
            self.send()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A file of the zip: its rows, and what they are together.
#[derive(Default)]
struct Told {
    rows: u64,
    digest: Sha256,
}

fn write(
    mut parts: mpsc::Receiver<Part>,
    sender: mpsc::Sender<Result<Bytes, io::Error>>,
) -> io::Result<()> {
    let held = Vec::with_capacity(PIECE);
    let mut zip = ZipWriter::new_stream(Pieces { sender, held });
    let options = || SimpleFileOptions::default().large_file(true);
    let mut manifest: BTreeMap<String, Told> = BTreeMap::new();
    let mut name = String::new();
    let mut is_whole = false;
    while let Some(part) = parts.blocking_recv() {
        match part {
            Part::Begin(next) => {
                zip.start_file(next.as_str(), options())?;
                manifest.insert(next.clone(), Told::default());
                name = next;
            }
            Part::Lines(rows) => {
                let told = manifest.entry(name.clone()).or_default();
                for row in rows {
                    let mut line = row.to_string();
                    line.push('\n');
                    told.rows += 1;
                    told.digest.update(&line);
                    zip.write_all(line.as_bytes())?;
                }
            }
            Part::Whole(next, content) => {
                zip.start_file(next.as_str(), options())?;
                zip.write_all(&content)?;
                is_whole = next == "README.txt";
                let told = manifest.entry(next).or_default();
                told.rows = 1;
                told.digest.update(&content);
            }
        }
    }
    if !is_whole {
        return Err(io::Error::other("the export broke off"));
    }
    let files: BTreeMap<String, Value> = manifest
        .into_iter()
        .map(|(name, told)| {
            let digest = hex::encode(told.digest.finalize());
            (name, json!({"rows": told.rows, "sha256": digest}))
        })
        .collect();
    let left_out: BTreeMap<&str, &str> = LEFT_OUT.iter().copied().collect();
    let manifest = json!({"files": files, "left_out": left_out});
    zip.start_file("manifest.json", options())?;
    zip.write_all(&serde_json::to_vec_pretty(&manifest)?)?;
    let mut rest = zip.finish()?.into_inner();
    rest.send()
}
