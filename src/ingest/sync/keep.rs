//! Bringing the book to what a source says: what is new is stored, what changed is replaced, what is
//! gone is removed with its passages, what can't be read is noted; all of it, and the place where the
//! reading goes on, in one transaction.

use std::collections::{HashMap, HashSet};

use serde_json::json;
use uuid::Uuid;

use super::feed::{Birth, Entry, What};
use super::items::{self, Links, Problem};
use super::news::{Met, News, Removed};
use super::store::Step;
use super::{Source, store};
use crate::book::{self, NewContact, NewEvent, Origin};
use crate::db::Scoped;
use crate::ids;
use crate::ingest::batch::{Batch, Outcome};
use crate::ingest::files::Item;
use crate::retrieval::{self, Embed};
use crate::state::App;
use crate::tasks::{Context, Enqueue, Failure, OrFailure as _};

/// What keeping did.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Kept {
    /// New or changed.
    pub stored: i64,
    pub removed: i64,
    pub unreadable: i64,
}

impl Kept {
    pub const fn and(self, other: Self) -> Self {
        Self {
            stored: self.stored + other.stored,
            removed: self.removed + other.removed,
            unreadable: self.unreadable + other.unreadable,
        }
    }

    pub const fn repairs(self) -> i64 {
        self.stored + self.removed
    }
}

/// What else belongs into the transaction.
#[derive(Default)]
pub(super) struct Also<'a> {
    /// Items that a walk has met.
    pub walked: &'a [String],
    pub step: Step,
    /// From the walk's last page.
    pub cursor: Option<String>,
    /// Whether what is kept is a walk's.
    pub is_walk: bool,
    /// For the events that follow.
    pub news: Option<News<'a>>,
}

/// Entries by what becomes of them.
#[derive(Default)]
struct Sorted {
    ids: Vec<String>,
    at: Vec<Option<chrono::DateTime<chrono::Utc>>>,
    births: Vec<Option<Birth>>,
    items: Vec<Item>,
    gone: Vec<String>,
    excluded: (Vec<String>, Vec<String>),
    unreadable: (Vec<String>, Vec<String>),
}

fn sorted(entries: Vec<Entry>) -> Sorted {
    let mut sorted = Sorted::default();
    for entry in entries {
        match entry.what {
            What::Item(item) => {
                sorted.ids.push(entry.id);
                sorted.at.push(entry.at);
                sorted.births.push(entry.birth);
                sorted.items.push(item);
            }
            What::Gone => sorted.gone.push(entry.id),
            What::Excluded(reason) => {
                sorted.excluded.0.push(entry.id);
                sorted.excluded.1.push(reason);
            }
            What::Unreadable(reason) => {
                sorted.unreadable.0.push(entry.id);
                sorted.unreadable.1.push(reason);
            }
            What::Named => {}
        }
    }
    sorted
}

pub(super) async fn keep(
    context: &Context<App>,
    source: Source,
    entries: Vec<Entry>,
    also: Also<'_>,
) -> Result<Kept, Failure> {
    let (app, name) = (&context.app, source.name());
    let met = i64::try_from(entries.len()).or_fail()?;
    let mut sorted = sorted(entries);
    if !sorted.items.is_empty() && matches!(source, Source::Calendar | Source::HubspotContacts) {
        let mut tx = context.scope.begin_bulk(&app.pool).await.or_retry()?;
        place(&mut tx, source, &sorted.ids, &mut sorted.items)
            .await
            .or_retry()?;
    }
    let (items, preparing) = (std::mem::take(&mut sorted.items), app.clone());
    let batch = tokio::task::spawn_blocking(move || Batch::prepare(items, name, &preparing))
        .await
        .or_retry()?;

    let mut tx = context.begin().await?;
    let mut kept = Kept {
        unreadable: i64::try_from(sorted.unreadable.0.len()).or_fail()?,
        ..Kept::default()
    };
    let keys: Vec<Vec<u8>> = batch.keys().iter().map(|key| key.to_vec()).collect();
    let mut outcome = Outcome::default();
    let mut rows = HashMap::new();
    if !keys.is_empty() {
        outcome = batch
            .store(&mut tx, app, Origin::Provider)
            .await
            .or_retry()?;
        let counts = outcome.counts;
        kept.stored = i64::try_from(counts.imported).or_fail()?;
        rows = link(&mut tx, source, &sorted, &keys).await.or_retry()?;
        if counts.imported > 0 {
            queue_embedding(context, &mut tx).await?;
        }
        app.metrics.imported(
            counts.imported,
            counts.unchanged,
            sorted.unreadable.0.len() as u64,
        );
    }
    let gone = remove(&mut tx, source, &sorted.gone, true)
        .await
        .or_retry()?;
    let excluded = remove(&mut tx, source, &sorted.excluded.0, false)
        .await
        .or_retry()?;
    kept.removed = i64::try_from(gone.len() + excluded.len()).or_fail()?;
    if let Some(news) = &also.news {
        let met: Vec<Met<'_>> = sorted
            .ids
            .iter()
            .zip(&keys)
            .zip(&sorted.births)
            .filter_map(|((external_id, key), birth)| {
                Some(Met {
                    external_id,
                    row: *rows.get(key)?,
                    birth: birth.clone(),
                })
            })
            .collect();
        news.record(app, &mut tx, (&met, &outcome), &gone, context.task_id)
            .await
            .or_retry()?;
    }
    for (problem, (ids, reasons)) in [
        (Problem::Excluded, &sorted.excluded),
        (Problem::Unreadable, &sorted.unreadable),
    ] {
        items::note(&mut tx, name, problem, ids, reasons)
            .await
            .or_retry()?;
    }
    items::walked(&mut tx, name, also.walked).await.or_retry()?;
    if also.is_walk {
        let progress = store::Progress {
            step: also.step,
            cursor: also.cursor,
            done: met,
            unreadable: kept.unreadable,
            repairs: kept.repairs(),
        };
        store::advance(&mut tx, name, &progress).await.or_retry()?;
    }
    tx.commit().await.or_retry()?;
    if kept.stored > 0 {
        app.tasks.wake();
    }
    Ok(kept)
}

async fn queue_embedding(context: &Context<App>, tx: &mut Scoped) -> Result<(), Failure> {
    let once = Enqueue {
        unique_key: Some("embed".to_owned()),
        request_id: context.request_id.clone(),
        caused_by: Some(json!({"kind": "task", "id": context.task_id})),
        ..Enqueue::default()
    };
    context
        .app
        .tasks
        .enqueue(tx, &Embed {}, once)
        .await
        .or_retry()
        .map(drop)
}

/// Notes which row each item is stored as.
async fn link(
    tx: &mut Scoped,
    source: Source,
    sorted: &Sorted,
    keys: &[Vec<u8>],
) -> Result<HashMap<Vec<u8>, Uuid>, sqlx::Error> {
    let rows = book::ids_of(tx, source.item_kind(), keys).await?;
    let mut links = Links::default();
    for ((external_id, key), at) in sorted.ids.iter().zip(keys).zip(&sorted.at) {
        if let Some(item_id) = rows.get(key) {
            links.external_ids.push(external_id.clone());
            links.item_ids.push(*item_id);
            links.at.push(*at);
        }
    }
    items::link(tx, source.name(), &links).await?;
    Ok(rows)
}

/// Parts items from their rows and removes the rows that nothing stands for any more: these.
pub(super) async fn remove(
    tx: &mut Scoped,
    source: Source,
    ids: &[String],
    gone: bool,
) -> Result<Vec<Removed>, sqlx::Error> {
    let mut rows = items::rows(tx, source.name(), ids).await?;
    let parted = items::part(tx, source.name(), ids, gone).await?;
    if parted.is_empty() {
        return Ok(Vec::new());
    }
    let deleted = book::delete(tx, source.item_kind(), &parted).await?;
    retrieval::forget(tx, &deleted).await?;
    let deleted: HashSet<Uuid> = deleted.into_iter().collect();
    rows.retain(|removed| deleted.contains(&removed.row));
    Ok(rows)
}

/// Gives each item the key of its row: the one that it has; else the one that its content leads to,
/// so that it meets what a file brought, unless another item of the source stands there.
async fn place(
    tx: &mut Scoped,
    source: Source,
    external_ids: &[String],
    items: &mut [Item],
) -> Result<(), sqlx::Error> {
    let natural: Vec<Vec<u8>> = items
        .iter()
        .map(|item| natural_key(item).to_vec())
        .collect();
    let name = source.name();
    let known = items::keys(tx, source, external_ids, &natural).await?;
    let own: HashMap<&str, &[u8]> = known
        .iter()
        .map(|known| (known.external_id.as_str(), known.key.as_slice()))
        .collect();
    // Who stands under a key: those that are stored, then the first of these.
    let mut held: HashMap<&[u8], &str> = known
        .iter()
        .map(|known| (known.key.as_slice(), known.external_id.as_str()))
        .collect();
    for ((external_id, natural), item) in external_ids.iter().zip(&natural).zip(items) {
        let stored = own.get(external_id.as_str()).copied();
        let first = *held.entry(natural.as_slice()).or_insert(external_id) == external_id;
        let key = match stored.and_then(|key| <[u8; 32]>::try_from(key).ok()) {
            Some(key) => Some(key),
            None if first => None,
            None => Some(ids::digest(&[name, external_id])),
        };
        match item {
            Item::Contact(contact) => contact.key = key,
            Item::Event(event) => event.key = key,
            _ => {}
        }
    }
    Ok(())
}

fn natural_key(item: &Item) -> [u8; 32] {
    match item {
        Item::Contact(contact) => NewContact::natural_key(
            &contact.emails,
            contact.uid.as_deref(),
            &contact.name,
            &contact.phones,
        ),
        Item::Event(event) => NewEvent::natural_key(&event.uid, event.recurrence_id.as_deref()),
        _ => [0; 32],
    }
}

/// What a walk or a listing names and isn't known, each once.
pub(super) async fn unknown(
    context: &Context<App>,
    source: Source,
    entries: &[Entry],
    excluded_too: bool,
) -> Result<Vec<String>, Failure> {
    let mut seen = HashSet::new();
    let named: Vec<String> = entries
        .iter()
        .filter(|entry| matches!(entry.what, What::Named) && seen.insert(&entry.id))
        .map(|entry| entry.id.clone())
        .collect();
    if named.is_empty() {
        return Ok(named);
    }
    let app = &context.app;
    let mut tx = context.scope.begin_bulk(&app.pool).await.or_retry()?;
    let known = items::known(&mut tx, source.name(), &named)
        .await
        .or_retry()?;
    let known: HashSet<String> = known
        .into_iter()
        .filter(|item| match item.problem.as_deref() {
            None => item.has_item,
            Some("excluded") => !excluded_too,
            Some(_) => false,
        })
        .map(|item| item.external_id)
        .collect();
    Ok(named.into_iter().filter(|id| !known.contains(id)).collect())
}
