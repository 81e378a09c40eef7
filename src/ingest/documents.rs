//! The task that reads uploaded files into the book.
//!
//! Reading and parsing happen on a blocking thread that hands located items over a short channel;
//! the task gathers them into batches and stores each with the place to go on from, in one
//! transaction under the task's fence. A crash repeats at most one batch, and a batch repeated
//! changes nothing.

use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::batch::{Batch, MAX_BYTES, MAX_ITEMS};
use super::files::{self, Item, Located, Resume};
use super::store::{self, Upload};
use crate::book::Origin;
use crate::db::UserScope;
use crate::live::Topic;
use crate::retrieval::Embed;
use crate::state::App;
use crate::tasks::{Context, Enqueue, Failure, Handler, OrFailure as _, Payload};

/// Unreadable items that are listed one by one; beyond it they are only counted.
const LISTED: i64 = 500;

/// "These uploads are to be read": they carry the task's id.
#[derive(Debug, Serialize, Deserialize)]
pub struct ImportDocuments {}

impl Payload for ImportDocuments {
    const KIND: &'static str = "import_documents";
}

/// "An upload may have been left behind."
#[derive(Debug, Serialize, Deserialize)]
pub struct SweepUploads {}

impl Payload for SweepUploads {
    const KIND: &'static str = "sweep_uploads";
}

impl Handler<App> for SweepUploads {
    async fn run(self, context: Context<App>) -> Result<Value, Failure> {
        let before = context.app.clock.now() - TimeDelta::hours(1);
        let mut tx = context.scope.begin(&context.app.pool).await.or_retry()?;
        let removed = store::discard_older(&mut tx, before).await.or_retry()?;
        tx.commit().await.or_retry()?;
        Ok(json!({"removed": removed}))
    }
}

impl Handler<App> for ImportDocuments {
    async fn run(self, context: Context<App>) -> Result<Value, Failure> {
        let mut uploads = load(&context).await?;
        let total: i64 = uploads.iter().map(|upload| upload.size).sum();
        let mut passed = 0;
        for upload in &mut uploads {
            if !upload.finished {
                read_upload(&context, upload, passed, total).await?;
            }
            passed += upload.size;
        }
        context.progress(total, total).await?;
        Ok(json!({"files": load(&context).await?.iter().map(report).collect::<Vec<_>>()}))
    }
}

async fn load(context: &Context<App>) -> Result<Vec<Upload>, Failure> {
    let mut tx = context.scope.begin(&context.app.pool).await.or_retry()?;
    store::uploads_of(&mut tx, context.task_id).await.or_retry()
}

fn report(upload: &Upload) -> Value {
    json!({
        "name": upload.file_name,
        "imported": upload.imported,
        "unchanged": upload.unchanged,
        "unreadable_count": upload.unreadable_count,
        "unreadable": upload.unreadable,
    })
}

/// Reads one upload from where it was left; `passed` and `total` are for the task's progress, in bytes.
async fn read_upload(
    context: &Context<App>,
    upload: &Upload,
    passed: i64,
    total: i64,
) -> Result<(), Failure> {
    let resume = Resume {
        offset: u64::try_from(upload.resume_offset).or_fail()?,
        items: upload.items(),
    };
    let reader = UploadReader::open(&context.app, context.scope, upload.id);
    let mut items = read_in_background(&upload.file_name, Box::new(reader), resume);
    let mut gathered = Gathered::default();
    let mut listed = upload.unreadable_count;
    loop {
        let next = tokio::select! {
            next = items.recv() => next,
            () = context.stop.cancelled() => return Err(Failure::LeaseLost),
        };
        let ended = next.is_none();
        if let Some(located) = next {
            gathered.add(located.or_retry()?);
        }
        if gathered.is_full() || (ended && !gathered.is_empty()) {
            let place = gathered.next_offset;
            listed = store_batch(context, upload, std::mem::take(&mut gathered), listed).await?;
            let done = passed + i64::try_from(place).unwrap_or(upload.size).min(upload.size);
            context.progress(done, total).await?;
            tell(context, done, total);
        }
        if ended {
            break;
        }
    }
    let mut tx = context.scope.begin(&context.app.pool).await.or_retry()?;
    context.hold(&mut tx).await?;
    store::finish(&mut tx, upload.id).await.or_retry()?;
    tx.commit().await.or_retry()
}

fn tell(context: &Context<App>, done: i64, total: i64) {
    context.app.live.tell(
        context.scope.user_id(),
        Topic::Task,
        json!({"task_id": context.task_id, "progress": {"done": done, "total": total}}),
    );
}

/// Items since the last transaction.
#[derive(Default)]
pub(super) struct Gathered {
    pub items: Vec<Item>,
    pub unreadable: Vec<Value>,
    pub next_offset: u64,
    bytes: usize,
}

impl Gathered {
    pub fn add(&mut self, located: Located) {
        self.next_offset = located.next_offset;
        match located.item {
            Ok(item) => {
                self.bytes += size_of(&item);
                self.items.push(item);
            }
            Err(unreadable) => self.unreadable.push(json!({
                "position": unreadable.position.to_string(),
                "reason": unreadable.reason,
            })),
        }
    }

    pub fn is_full(&self) -> bool {
        self.items.len() + self.unreadable.len() >= MAX_ITEMS || self.bytes >= MAX_BYTES
    }

    pub const fn is_empty(&self) -> bool {
        self.items.is_empty() && self.unreadable.is_empty()
    }
}

fn size_of(item: &Item) -> usize {
    match item {
        Item::Email(email) => email.text.len() + email.html.as_ref().map_or(0, String::len),
        Item::Document(document) => document.text.len(),
        Item::Note(note) => note.text.len(),
        Item::Contact(_) | Item::Event(_) | Item::Deal(_) => 1024,
    }
}

/// Stores what was gathered; returns how many unreadable items are listed by now.
async fn store_batch(
    context: &Context<App>,
    upload: &Upload,
    gathered: Gathered,
    listed: i64,
) -> Result<i64, Failure> {
    let app = context.app.clone();
    let unreadable_count = i64::try_from(gathered.unreadable.len()).or_fail()?;
    let room = usize::try_from((LISTED - listed).max(0)).unwrap_or(0);
    let unreadable: Value = gathered.unreadable.into_iter().take(room).collect();
    let (preparing, file_name) = (app.clone(), upload.file_name.clone());
    let batch =
        tokio::task::spawn_blocking(move || Batch::prepare(gathered.items, &file_name, &preparing))
            .await
            .or_retry()?;

    let mut tx = context.scope.begin(&app.pool).await.or_retry()?;
    context.hold(&mut tx).await?;
    let stored = batch.store(&mut tx, &app, Origin::File).await;
    let counts = stored.or_retry()?.counts;
    let resume = i64::try_from(gathered.next_offset).or_fail()?;
    store::advance(
        &mut tx,
        upload.id,
        resume,
        counts,
        unreadable_count,
        &unreadable,
    )
    .await
    .or_retry()?;
    if counts.imported > 0 {
        app.tasks
            .enqueue(
                &mut tx,
                &Embed {},
                Enqueue {
                    unique_key: Some("embed".to_owned()),
                    request_id: context.request_id.clone(),
                    caused_by: Some(json!({"kind": "task", "id": context.task_id})),
                    ..Enqueue::default()
                },
            )
            .await
            .or_retry()?;
    }
    tx.commit().await.or_retry()?;
    app.metrics.imported(
        counts.imported,
        counts.unchanged,
        u64::try_from(unreadable_count).unwrap_or(0),
    );
    app.tasks.wake();
    Ok(listed + unreadable_count)
}

/// Parses on a blocking thread; the channel is short, so that memory stays bounded. An error is the
/// reader's own (the database went away) and ends the stream.
pub(super) fn read_in_background(
    file_name: &str,
    reader: Box<dyn Read + Send>,
    resume: Resume,
) -> mpsc::Receiver<io::Result<Located>> {
    let (sender, receiver) = mpsc::channel(32);
    let file_name = file_name.to_owned();
    let parse = move |sender: &mpsc::Sender<io::Result<Located>>| {
        let items = match files::open(&file_name, reader, resume) {
            Ok(items) => items,
            Err(unreadable) => {
                // Once only: a file that nobody can read is passed by a second look.
                if resume.items == 0 {
                    let _ = sender.blocking_send(Ok(Located {
                        position: unreadable.position,
                        next_offset: 1,
                        item: Err(unreadable),
                    }));
                }
                return;
            }
        };
        for located in items {
            let failed = located.is_err();
            if sender.blocking_send(located).is_err() || failed {
                return;
            }
        }
    };
    tokio::task::spawn_blocking(move || {
        // Without this a parser's panic would look like the file's end.
        if catch_unwind(AssertUnwindSafe(|| parse(&sender))).is_err() {
            let _ = sender.blocking_send(Err(io::Error::other("the parser panicked")));
        }
    });
    receiver
}

/// An upload as a `Read`, for the blocking thread: fetches part by part.
struct UploadReader {
    runtime: tokio::runtime::Handle,
    app: App,
    scope: UserScope,
    upload_id: Uuid,
    at: i64,
    part: io::Cursor<Vec<u8>>,
}

impl UploadReader {
    fn open(app: &App, scope: UserScope, upload_id: Uuid) -> Self {
        Self {
            runtime: tokio::runtime::Handle::current(),
            app: app.clone(),
            scope,
            upload_id,
            at: 0,
            part: io::Cursor::default(),
        }
    }
}

impl Read for UploadReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.part.read(buffer)?;
        if read > 0 || buffer.is_empty() {
            return Ok(read);
        }
        let next = self
            .runtime
            .block_on(store::read_part(
                &self.app.pool,
                self.scope.user_id(),
                self.upload_id,
                self.at,
            ))
            .map_err(io::Error::other)?;
        let Some(bytes) = next else { return Ok(0) };
        self.at += i64::try_from(bytes.len()).map_err(io::Error::other)?;
        self.part = io::Cursor::new(bytes);
        self.part.read(buffer)
    }
}
