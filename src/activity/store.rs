//! All SQL over `activity` and `activity_heads`.

use anyhow::Context as _;
use chrono::{DateTime, SubsecRound as _, Utc};
use futures::TryStreamExt as _;
use uuid::Uuid;

use super::chain::{self, BEGINNING};
use super::{Entry, New};
use crate::db::Scoped;
use crate::http::Cursor;
use crate::ids;

/// Adds to the user's diary. The user's entries are made one after the other: append last in a
/// transaction, which others then wait for.
pub async fn append(tx: &mut Scoped, new: New<'_>, now: DateTime<Utc>) -> anyhow::Result<Uuid> {
    let user_id = tx.user_id();
    // What has been written, not what comes, stands in the row until the second statement.
    let head = sqlx::query!(
        "
        insert into activity_heads (user_id, place, hash) values ($1, 1, $2)
        on conflict (user_id) do update set place = activity_heads.place + 1
        returning place, hash
        ",
        user_id,
        &BEGINNING[..],
    )
    .fetch_one(&mut **tx)
    .await?;
    let mut entry = Entry {
        place: head.place,
        id: ids::next(),
        // As precise as the database is.
        at: now.trunc_subsecs(6),
        actor: new.actor.name().to_owned(),
        action: new.action.to_owned(),
        target: new.target.map(|text| text.replace('\0', "")),
        why: serde_json::to_value(&new.why)?,
        proposed: new.proposed,
        done: new.done,
        result: new.result,
        undo: new.undo,
        undoes: new.undoes,
        undone_by: None,
        hash: Vec::new(),
    };
    let hash =
        chain::hash(&head.hash, user_id, &entry).context("an entry without canonical form")?;
    entry.hash = hash.to_vec();
    sqlx::query!(
        "
        insert into activity (user_id, place, id, at, actor, action, target, why, proposed, final,
            result, undo, undoes, hash)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
        ",
        user_id,
        entry.place,
        entry.id,
        entry.at,
        entry.actor,
        entry.action,
        entry.target,
        entry.why,
        entry.proposed,
        entry.done,
        entry.result,
        entry.undo,
        entry.undoes,
        entry.hash,
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!(
        "update activity_heads set hash = $2 where user_id = $1",
        user_id,
        entry.hash,
    )
    .execute(&mut **tx)
    .await?;
    Ok(entry.id)
}

/// Newest first, one more than `limit`.
pub async fn list(
    tx: &mut Scoped,
    limit: i64,
    after: Option<Cursor>,
) -> Result<Vec<Entry>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_as!(
        Entry,
        r#"
        select place, id, at, actor, action, target, why, proposed, final as done, result, undo, undoes,
            (
                select later.id from activity as later
                where later.user_id = $1 and later.undoes = activity.id
            ) as undone_by,
            hash
        from activity
        where user_id = $1
            and ($3::uuid is null
                or place < (select before.place from activity as before where user_id = $1 and before.id = $3))
        order by place desc
        limit $2::bigint + 1
        "#,
        user_id,
        limit,
        after.map(|cursor| cursor.id),
    )
    .fetch_all(&mut **tx)
    .await
}

/// One entry.
pub async fn find(tx: &mut Scoped, id: Uuid) -> Result<Option<Entry>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_as!(
        Entry,
        r#"
        select place, id, at, actor, action, target, why, proposed, final as done, result, undo, undoes,
            (
                select later.id from activity as later
                where later.user_id = $1 and later.undoes = activity.id
            ) as undone_by,
            hash
        from activity
        where user_id = $1 and id = $2
        "#,
        user_id,
        id,
    )
    .fetch_optional(&mut **tx)
    .await
}

/// How a walk along the chain ended.
#[derive(Debug)]
pub(super) struct Walk {
    pub entries: i64,
    pub first_bad_id: Option<Uuid>,
    /// Something is missing at the end.
    pub cut_off: bool,
}

/// Walks the chain from its beginning. Read as a stream: a diary may be long.
pub(super) async fn walk(tx: &mut Scoped) -> Result<Walk, sqlx::Error> {
    let user_id = tx.user_id();
    let head = sqlx::query!(
        "select place, hash from activity_heads where user_id = $1",
        user_id
    )
    .fetch_optional(&mut **tx)
    .await?;
    let mut rows = sqlx::query_as!(
        Entry,
        r#"
        select place, id, at, actor, action, target, why, proposed, final as done, result, undo, undoes,
            null::uuid as undone_by, hash
        from activity
        where user_id = $1
        order by place
        "#,
        user_id,
    )
    .fetch(&mut **tx);
    let mut before = BEGINNING.to_vec();
    let mut walk = Walk {
        entries: 0,
        first_bad_id: None,
        cut_off: false,
    };
    while let Some(entry) = rows.try_next().await? {
        walk.entries += 1;
        let expected = chain::hash(&before, user_id, &entry);
        let fits = expected.is_some_and(|hash| hash[..] == entry.hash[..]);
        if walk.first_bad_id.is_none() && (!fits || entry.place != walk.entries) {
            walk.first_bad_id = Some(entry.id);
        }
        before = entry.hash;
    }
    walk.cut_off = match head {
        Some(head) => head.place != walk.entries || head.hash != before,
        None => walk.entries > 0,
    };
    Ok(walk)
}
