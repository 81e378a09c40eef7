//! SQL over vectors: the queue of passages without one, the models that made them, and
//! `index_routes`, which says of each user which model serves.

use chrono::{DateTime, Utc};
use pgvector::HalfVector;
use sqlx::PgPool;

use crate::db::{Scoped, UserId};

/// A model as vectors are stored under it: its name, with the length that they really have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Model {
    pub id: i16,
    pub dimensions: i32,
}

/// Where a user's index stands, seen from the model in the settings.
#[derive(Debug)]
pub(super) struct Route {
    pub serving: Option<i16>,
    pub stalled: bool,
    /// Whether what has no vector of this model is in the queue.
    pub queued: bool,
    /// What this model's vectors were stored under: the user's own, or else anybody's latest.
    pub current: Option<Model>,
}

/// The name of the model that serves this user; none before the first vectors.
pub(super) async fn serving_name(
    pool: &PgPool,
    user_id: UserId,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar!(
        "select name from index_routes join embedding_models on id = serving where user_id = $1",
        user_id.0,
    )
    .fetch_optional(pool)
    .await
}

pub(super) async fn route(tx: &mut Scoped, name: &str) -> Result<Route, sqlx::Error> {
    let user_id = tx.user_id();
    let row = sqlx::query!(
        r#"
        select serving as "serving?", coalesce(stalled, false) as "stalled!",
            coalesce(queued_for = $2, false) as "queued!",
            current.id as "id?", current.dimensions as "dimensions?"
        from (values (true)) as one
            left join index_routes on user_id = $1
            left join embedding_models as current on current.id = case
                when queued_for = $2 then queued_model
                else (
                    select id from embedding_models
                    where name = $2 and dimensions is not null
                    order by id desc
                    limit 1
                )
            end
        "#,
        user_id,
        name,
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(Route {
        serving: row.serving,
        stalled: row.stalled,
        queued: row.queued,
        current: row
            .id
            .zip(row.dimensions)
            .map(|(id, dimensions)| Model { id, dimensions }),
    })
}

/// A model of this name whose vectors have this length, made at its first use.
pub(super) async fn model(
    tx: &mut Scoped,
    name: &str,
    dimensions: i32,
) -> Result<Model, sqlx::Error> {
    let id = match find_model(tx, name, dimensions).await? {
        Some(id) => id,
        None => {
            sqlx::query!(
                "insert into embedding_models (name, dimensions) values ($1, $2) on conflict do nothing",
                name,
                dimensions,
            )
            .execute(&mut **tx)
            .await?;
            find_model(tx, name, dimensions)
                .await?
                .ok_or(sqlx::Error::RowNotFound)?
        }
    };
    Ok(Model { id, dimensions })
}

async fn find_model(
    tx: &mut Scoped,
    name: &str,
    dimensions: i32,
) -> Result<Option<i16>, sqlx::Error> {
    sqlx::query_scalar!(
        "select id from embedding_models where name = $1 and dimensions = $2",
        name,
        dimensions,
    )
    .fetch_optional(&mut **tx)
    .await
}

/// The models that the user has vectors of, the one with most of them first. Reads all of them.
pub(super) async fn held(tx: &mut Scoped) -> Result<Vec<(i16, String)>, sqlx::Error> {
    let user_id = tx.user_id();
    let rows = sqlx::query!(
        r#"
        select id, name
        from (
            select model_id, count(*) as vectors from chunk_embeddings where user_id = $1 group by model_id
        ) as counted
        join embedding_models on id = model_id
        order by vectors desc, id desc
        "#,
        user_id,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.name)).collect())
}

/// Notes the model that the queue is for. Locks the route: call it before [`queue_missing`], so that
/// vectors that are counted upon aren't removed at the same time.
pub(super) async fn set_queued_for(
    tx: &mut Scoped,
    name: &str,
    model: Option<Model>,
) -> Result<(), sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query!(
        "insert into index_routes (user_id, queued_for, queued_model) values ($1, $2, $3)
        on conflict (user_id) do update set queued_for = excluded.queued_for, queued_model = excluded.queued_model",
        user_id,
        name,
        model.map(|model| model.id),
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Makes the queue hold exactly the passages without a vector of this model; all, where it is none
/// that anybody has used. Other vectors that are left are noted as such. Reads all passages.
pub(super) async fn queue_missing(
    tx: &mut Scoped,
    model: Option<Model>,
    serving: Option<i16>,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query!(
        "with done as (
            delete from chunks_to_embed
            where user_id = $1
                and exists (
                    select from chunk_embeddings
                    where user_id = $1 and model_id = $2 and chunk_id = chunks_to_embed.chunk_id
                )
        ), routed as (
            update index_routes
            set serving = $3, serving_since = case when serving is distinct from $3 then $4 else serving_since end,
                former = former or exists (
                    select from chunk_embeddings where user_id = $1 and model_id is distinct from $2
                )
            where user_id = $1
        )
        insert into chunks_to_embed (chunk_id, user_id)
        select id, $1 from chunks
        where user_id = $1
            and not exists (
                select from chunk_embeddings
                where user_id = $1 and model_id = $2 and chunk_id = chunks.id
            )
        on conflict do nothing",
        user_id,
        model.map(|model| model.id),
        serving,
        now,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}

#[derive(Debug)]
pub(super) struct Waiting {
    pub id: i64,
    pub text: String,
}

/// The newest passages first: what came last is asked for first.
pub(super) async fn next_to_embed(
    tx: &mut Scoped,
    limit: i64,
) -> Result<Vec<Waiting>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_as!(
        Waiting,
        r#"
        select chunks.id, header || E'\n' || text as "text!"
        from (
            select chunk_id from chunks_to_embed where user_id = $1 order by chunk_id desc limit $2
        ) as next
        join chunks on chunks.id = next.chunk_id
        where chunks.user_id = $1
        "#,
        user_id,
        limit,
    )
    .fetch_all(&mut **tx)
    .await
}

/// Stores vectors and takes their passages off the queue, and those that can't have one. A passage
/// deleted meanwhile is skipped. Where there are vectors there is a model.
pub(super) async fn store(
    tx: &mut Scoped,
    model: Option<Model>,
    ids: &[i64],
    vectors: &[HalfVector],
    refused: &[i64],
) -> Result<(), sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query!(
        "with done as (
            delete from chunks_to_embed where user_id = $1 and (chunk_id = any($3) or chunk_id = any($5))
        )
        insert into chunk_embeddings (user_id, model_id, chunk_id, kind, occurred_at, embedding)
        select $1, $2, chunks.id, chunks.kind, chunks.occurred_at, new.embedding
        from unnest($3::bigint[], $4::halfvec[]) as new (id, embedding)
        join chunks on chunks.id = new.id and chunks.user_id = $1
        on conflict (user_id, model_id, chunk_id) do update set embedding = excluded.embedding",
        user_id,
        model.map(|model| model.id),
        ids,
        vectors as &[HalfVector],
        refused,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// After an attempt that went well: lets the model serve, unless new passages wait already, whose
/// task will.
pub(super) async fn settle(
    tx: &mut Scoped,
    model: Option<Model>,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query!(
        "update index_routes
        set stalled = false,
            serving = case when complete then $2 else serving end,
            serving_since = case when complete and serving is distinct from $2 then $3 else serving_since end
        from (
            select $2::smallint is not null
                and not exists (select from chunks_to_embed where user_id = $1) as complete
        ) as looked
        where user_id = $1",
        user_id,
        model.map(|model| model.id),
        now,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Notes that an attempt failed, so that the next start tries again.
pub(super) async fn set_stalled(tx: &mut Scoped) -> Result<(), sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query!(
        "update index_routes set stalled = true where user_id = $1 and not stalled",
        user_id,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// How many passages there are, and how many of them wait.
pub(super) async fn progress(tx: &mut Scoped) -> Result<(i64, i64), sqlx::Error> {
    let user_id = tx.user_id();
    let row = sqlx::query!(
        r#"
        select (select count(*) from chunks where user_id = $1) as "total!",
            (select count(*) from chunks_to_embed where user_id = $1) as "waiting!"
        "#,
        user_id,
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok((row.total, row.waiting))
}

/// Users whose queue is for another model than this one, and with `stalled` those whose last attempt
/// failed; a page of them, after `after`.
pub(super) async fn users_to_embed(
    pool: &PgPool,
    name: &str,
    stalled: bool,
    after: Option<UserId>,
    limit: i64,
) -> Result<Vec<UserId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        select user_id as "user_id: UserId" from index_routes
        where (queued_for is distinct from $1 or ($2 and index_routes.stalled))
            and ($3::uuid is null or user_id > $3)
        order by user_id
        limit $4
        "#,
        name,
        stalled,
        after.map(|user| user.0),
        limit,
    )
    .fetch_all(pool)
    .await
}

/// Users with vectors that no longer serve and whose own model has served since before `until`.
pub(super) async fn users_with_former(
    pool: &PgPool,
    until: DateTime<Utc>,
    after: Option<UserId>,
    limit: i64,
) -> Result<Vec<UserId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        select user_id as "user_id: UserId" from index_routes
        where former and serving_since < $1 and ($2::uuid is null or user_id > $2)
        order by user_id
        limit $3
        "#,
        until,
        after.map(|user| user.0),
        limit,
    )
    .fetch_all(pool)
    .await
}

/// The model that serves, with its row locked: as long as its name is the one that the queue is for,
/// and it has served since before `until`.
pub(super) async fn lock_settled(
    tx: &mut Scoped,
    until: DateTime<Utc>,
) -> Result<Option<i16>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_scalar!(
        r#"
        select id as "id!"
        from index_routes join embedding_models on id = serving
        where user_id = $1 and name = queued_for and serving_since < $2
        for update of index_routes
        "#,
        user_id,
        until,
    )
    .fetch_optional(&mut **tx)
    .await
}

/// Removes a batch of the vectors of other models; says how many there were.
pub(super) async fn remove_former(
    tx: &mut Scoped,
    serving: i16,
    limit: i64,
) -> Result<u64, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query!(
        "delete from chunk_embeddings
        where user_id = $1
            and (model_id, chunk_id) in (
                select model_id, chunk_id from chunk_embeddings
                where user_id = $1 and model_id <> $2
                limit $3
            )",
        user_id,
        serving,
        limit,
    )
    .execute(&mut **tx)
    .await
    .map(|outcome| outcome.rows_affected())
}

pub(super) async fn set_no_former(tx: &mut Scoped) -> Result<(), sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query!(
        "update index_routes set former = false where user_id = $1",
        user_id,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}
