//! All SQL over `appearances`: who stands in which mail, event, note and deal, and when.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::Stored;
use crate::book::keys::is_kept;
use crate::book::{Kind, address_keys};
use crate::db::Scoped;

/// Somebody in an item, under the id by which it is stored.
pub(super) struct Appearance {
    who: String,
    item_id: Uuid,
    /// They wrote the mail, or called the meeting.
    is_from: bool,
    at: Option<DateTime<Utc>>,
}

/// Those of a mail or event by their addresses.
pub(super) fn of_addresses<'a>(
    item_id: Uuid,
    at: Option<DateTime<Utc>>,
    from: Option<&'a String>,
    all: &'a [String],
) -> impl Iterator<Item = Appearance> + use<> {
    let from = address_keys(from);
    address_keys(all).into_iter().map(move |who| Appearance {
        is_from: from.contains(&who),
        who,
        item_id,
        at,
    })
}

/// Those whom a note or deal names by their uid.
pub(super) fn of_uids(
    item_id: Uuid,
    at: Option<DateTime<Utc>>,
    uids: &[String],
) -> impl Iterator<Item = Appearance> {
    let mut uids: Vec<_> = uids.iter().filter(|uid| is_kept(uid)).cloned().collect();
    uids.sort_unstable();
    uids.dedup();
    uids.into_iter().map(move |who| Appearance {
        who,
        item_id,
        is_from: false,
        at,
    })
}

/// Writes those of a batch's new and changed items.
pub(super) async fn store(
    tx: &mut Scoped,
    kind: Kind,
    stored: &Stored,
    appearances: impl Iterator<Item = Appearance>,
) -> Result<(), sqlx::Error> {
    let user_id = tx.user_id();
    if !stored.updated.is_empty() {
        let updated: Vec<_> = stored.updated.iter().copied().collect();
        sqlx::query!(
            "delete from appearances where user_id = $1 and item_id = any($2)",
            user_id,
            &updated,
        )
        .execute(&mut **tx)
        .await?;
    }
    let mut who = Vec::new();
    let mut items = Vec::new();
    let mut roles = Vec::new();
    let mut times = Vec::new();
    for appearance in appearances {
        who.push(appearance.who);
        items.push(appearance.item_id);
        roles.push(if appearance.is_from { "from" } else { "to" });
        times.push(appearance.at);
    }
    if who.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "insert into appearances (user_id, who, kind, item_id, role, at)
        select $1, who, $2, item_id, role, at
        from unnest($3::text[], $4::uuid[], $5::text[], $6::timestamptz[]) as new (who, item_id, role, at)",
        user_id,
        kind.name(),
        &who,
        &items,
        &roles as &[&str],
        &times as &[Option<DateTime<Utc>>],
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}
