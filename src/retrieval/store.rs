//! SQL over passages: storing them, counting them, and the hybrid search. Making their vectors has a
//! file of its own (`vectors.rs`).

use chrono::{DateTime, Utc};
use pgvector::HalfVector;
use uuid::Uuid;

use super::Passage;
use crate::db::Scoped;

const SEPARATOR: &str = "\u{1f}";

/// Removes a source's passages; their vectors and places in the queue go with them.
pub(super) async fn delete_of_sources(
    tx: &mut Scoped,
    sources: &[Uuid],
) -> Result<(), sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query!(
        "delete from chunks where user_id = $1 and source_id = any($2)",
        user_id,
        sources,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Passages as columns, for statements over all of them.
struct Columns<'a> {
    kinds: Vec<&'static str>,
    sources: Vec<Uuid>,
    ordinals: Vec<i32>,
    threads: Vec<Option<Uuid>>,
    times: Vec<Option<DateTime<Utc>>>,
    titles: Vec<&'a str>,
    headers: Vec<&'a str>,
    texts: Vec<&'a str>,
    participants: Vec<String>,
    names: Vec<&'a str>,
}

impl<'a> Columns<'a> {
    fn of(passages: &'a [Passage]) -> Self {
        Self {
            kinds: passages.iter().map(|p| p.kind.name()).collect(),
            sources: passages.iter().map(|p| p.source_id).collect(),
            ordinals: passages.iter().map(|p| p.ordinal).collect(),
            threads: passages.iter().map(|p| p.thread_id).collect(),
            times: passages.iter().map(|p| p.occurred_at).collect(),
            titles: passages.iter().map(|p| p.title.as_str()).collect(),
            headers: passages.iter().map(|p| p.header.as_str()).collect(),
            texts: passages.iter().map(|p| p.text.as_str()).collect(),
            participants: passages
                .iter()
                .map(|p| p.participants.join(SEPARATOR))
                .collect(),
            names: passages.iter().map(|p| p.names.as_str()).collect(),
        }
    }
}

/// Of sources that changed: removes what isn't said there any more, and brings up to date, where it
/// differs, what stands around the text of the rest. What is embedded stays as it is, with its vector.
pub(super) async fn keep_unchanged(
    tx: &mut Scoped,
    passages: &[Passage],
    updated: &[Uuid],
) -> Result<(), sqlx::Error> {
    if updated.is_empty() {
        return Ok(());
    }
    let user_id = tx.user_id();
    let new = Columns::of(passages);
    sqlx::query!(
        r#"
        with new as materialized (
            select source_id, ordinal, thread_id, occurred_at, title, header, text,
                string_to_array(participants, $11) as participants,
                to_tsvector('english', unaccent(title || ' ' || text)) || to_tsvector('simple', unaccent(names)) as words
            from unnest($3::uuid[], $4::int[], $5::uuid[], $6::timestamptz[], $7::text[], $8::text[], $9::text[],
                $10::text[], $12::text[])
                as given (source_id, ordinal, thread_id, occurred_at, title, header, text, participants, names)
            where source_id = any($2)
        ), gone as (
            delete from chunks
            where user_id = $1 and source_id = any($2)
                and not exists (
                    select from new
                    where new.source_id = chunks.source_id and new.ordinal = chunks.ordinal
                        and new.header = chunks.header and new.text = chunks.text
                )
        ), kept as (
            update chunks
            set title = new.title, thread_id = new.thread_id, occurred_at = new.occurred_at,
                participants = new.participants, words = new.words
            from new
            where chunks.user_id = $1
                and chunks.source_id = new.source_id and chunks.ordinal = new.ordinal
                and chunks.header = new.header and chunks.text = new.text
                and (chunks.title, chunks.thread_id, chunks.occurred_at, chunks.participants, chunks.words)
                    is distinct from (new.title, new.thread_id, new.occurred_at, new.participants, new.words)
            returning chunks.id, chunks.occurred_at
        )
        update chunk_embeddings
        set occurred_at = kept.occurred_at
        from kept
        where user_id = $1 and chunk_id = kept.id and chunk_embeddings.occurred_at is distinct from kept.occurred_at
        "#,
        user_id,
        updated,
        &new.sources,
        &new.ordinals,
        &new.threads as &[Option<Uuid>],
        &new.times as &[Option<DateTime<Utc>>],
        &new.titles as &[&str],
        &new.headers as &[&str],
        &new.texts as &[&str],
        &new.participants,
        SEPARATOR,
        &new.names as &[&str],
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Stores those passages whose place is free, with their words, and queues them for a vector, in one
/// statement.
pub(super) async fn insert(tx: &mut Scoped, passages: &[Passage]) -> Result<(), sqlx::Error> {
    if passages.is_empty() {
        return Ok(());
    }
    let user_id = tx.user_id();
    let new = Columns::of(passages);
    sqlx::query!(
        r#"
        with stored as (
            insert into chunks (user_id, kind, source_id, ordinal, thread_id, occurred_at, title, header, text,
                participants, words)
            select $1, kind, source_id, ordinal, thread_id, occurred_at, title, header, text,
                string_to_array(participants, $12),
                to_tsvector('english', unaccent(title || ' ' || text)) || to_tsvector('simple', unaccent(names))
            from unnest($2::text[], $3::uuid[], $4::int[], $5::uuid[], $6::timestamptz[], $7::text[], $8::text[],
                $9::text[], $10::text[], $11::text[])
                as new (kind, source_id, ordinal, thread_id, occurred_at, title, header, text, participants, names)
            where not exists (
                select from chunks
                where user_id = $1 and chunks.source_id = new.source_id and chunks.ordinal = new.ordinal
            )
            on conflict on constraint chunks_place_key do nothing
            returning id
        )
        insert into chunks_to_embed (chunk_id, user_id) select id, $1 from stored
        "#,
        user_id,
        &new.kinds as &[&str],
        &new.sources,
        &new.ordinals,
        &new.threads as &[Option<Uuid>],
        &new.times as &[Option<DateTime<Utc>>],
        &new.titles as &[&str],
        &new.headers as &[&str],
        &new.texts as &[&str],
        &new.participants,
        &new.names as &[&str],
        SEPARATOR,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// How far the user's index is.
#[derive(Debug)]
pub struct IndexStatus {
    pub total: i64,
    /// Passages without a vector yet; their words are searched already.
    pub waiting: i64,
    pub newest_item_at: Option<DateTime<Utc>>,
}

pub async fn index_status(tx: &mut Scoped) -> Result<IndexStatus, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_as!(
        IndexStatus,
        r#"
        select count(*) as "total!",
            (select count(*) from chunks_to_embed where user_id = $1) as "waiting!",
            max(occurred_at) filter (where kind = 'email') as newest_item_at
        from chunks
        where user_id = $1
        "#,
        user_id,
    )
    .fetch_one(&mut **tx)
    .await
}

/// A passage that one of the legs brought up.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub kind: String,
    pub source_id: Uuid,
    pub ordinal: i32,
    pub thread_id: Option<Uuid>,
    pub occurred_at: Option<DateTime<Utc>>,
    pub title: String,
    pub header: String,
    pub text: String,
    /// Before and after it in its source.
    pub previous: Option<String>,
    pub next: Option<String>,
    /// Reciprocal rank fusion of the legs, k = 60.
    pub score: f64,
    /// Against the question's vector; absent where the passage or the question has none.
    pub cosine: Option<f64>,
    /// Share of the question's words that it holds, weighted by how rare they are; 0 to 1.
    pub matched: f64,
    pub embedding: Option<HalfVector>,
}

pub(super) struct Query<'a> {
    /// What is asked, without the names: its words are the keyword leg.
    pub topic: &'a str,
    /// Names of people, things and numbers: where any passage holds them, the search stays among
    /// those that hold most of them.
    pub names: &'a [String],
    /// Of the topic.
    pub vector: Option<HalfVector>,
    /// Whose vectors it is compared with; only those of its own length.
    pub model: &'a str,
    pub kinds: Option<Vec<String>>,
    pub after: Option<DateTime<Utc>>,
    pub before: Option<DateTime<Utc>>,
    /// Only passages with one of these among their participants: address keys, and a contact's uid.
    pub participants: Option<Vec<String>>,
    /// Only passages of this source, beside those of `participants`.
    pub source_id: Option<Uuid>,
    /// A period named in words: what lies in it ranks higher, the rest isn't lost.
    pub said_after: Option<DateTime<Utc>>,
    pub said_before: Option<DateTime<Utc>>,
    /// Of the keyword leg, against 1 for the vector leg.
    pub keyword_weight: f64,
}

/// All legs, fused by reciprocal rank (k = 60), in one round trip.
///
/// The keyword leg ORs the topic's words (ANDed, a question finds nothing) and weighs each hit by
/// the rarity of what it holds: BM25 with binary term frequencies, which passages of a hundred
/// words hardly need more than. Row-level security keeps `@@` from an index; the user's own rows are
/// read instead, as the vector leg does.
pub(super) async fn search(
    tx: &mut Scoped,
    query: Query<'_>,
) -> Result<Vec<Candidate>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_as!(
        Candidate,
        r#"
        with
        word as materialized (
            select lexeme, ('''' || replace(replace(lexeme, '\', '\\'), '''', '''''') || '''')::tsquery as query
            from unnest(tsvector_to_array(to_tsvector('english', unaccent($2)))) as lexeme
            limit 32
        ),
        question as materialized (
            select string_agg(query::text, ' | ')::tsquery as any_word from word
        ),
        size as materialized (
            select greatest(count(*), 1)::float8 as passages from chunks where user_id = $1
        ),
        name as materialized (
            select place, string_agg('''' || replace(replace(lexeme, '\', '\\'), '''', '''''') || '''', ' | ')::tsquery as query
            from unnest($3::text[]) with ordinality as given (name, place),
                unnest(tsvector_to_array(
                    to_tsvector('simple', unaccent(name)) || to_tsvector('english', unaccent(name))
                )) as lexeme
            group by place
        ),
        holds_name as materialized (
            select id, place from chunks join name on words @@ query where user_id = $1
        ),
        named as materialized (
            select id
            from (
                select id, sum(rarity) as held, max(sum(rarity)) over () as most
                from holds_name
                join (
                    select place, ln(1 + passages / count(*)) as rarity
                    from holds_name, size
                    group by place, passages
                ) as weighed using (place)
                group by id
            ) as each
            where held >= 0.6 * most
        ),
        nobody_named as materialized (
            select not exists (select from named) as answer
        ),
        hit as materialized (
            select id, words, length(words) as length, occurred_at
            from chunks, question, nobody_named
            where user_id = $1
                and words @@ any_word
                and ($6::text[] is null or kind = any($6))
                and ($7::timestamptz is null or occurred_at >= $7)
                and ($8::timestamptz is null or occurred_at < $8)
                and ($9::text[] is null or participants && $9 or source_id = $10::uuid)
                and (nobody_named.answer or id in (select id from named))
        ),
        held as materialized (
            select hit.id, hit.length, hit.occurred_at, word.lexeme
            from hit join word on hit.words @@ word.query
        ),
        weight as materialized (
            select word.lexeme, ln(1 + (passages - coalesce(holders, 0) + 0.5) / (coalesce(holders, 0) + 0.5)) as idf
            from size, word left join (select lexeme, count(*) as holders from held group by lexeme) as counted
                using (lexeme)
        ),
        worded as materialized (
            select id, occurred_at, sum(idf) / (select sum(idf) from weight) as matched,
                sum(idf * 2.2 / (1 + 1.2 * (0.25 + 0.75 * length / (select avg(length) from hit)))) as score
            from held join weight using (lexeme)
            group by id, occurred_at
        ),
        near as materialized (
            select chunk_id as id, occurred_at, embedding <#> $4::halfvec as distance
            from chunk_embeddings, nobody_named
            where user_id = $1
                and model_id = (
                    select id from embedding_models where name = $5 and dimensions = vector_dims($4::halfvec)
                )
                and $4::halfvec is not null
                and ($6::text[] is null or kind = any($6))
                and ($7::timestamptz is null or occurred_at >= $7)
                and ($8::timestamptz is null or occurred_at < $8)
                and ($9::text[] is null or chunk_id in (
                    select id from chunks
                    where user_id = $1 and (participants && $9 or source_id = $10::uuid)
                ))
                and (nobody_named.answer or chunk_id in (select id from named))
        ),
        leg as (
            (select id, 1.0::float8 as weight, row_number() over (order by distance, id) as place
                from near order by distance, id limit 50)
            union all
            (select id, $13::float8, row_number() over (order by score desc, id)
                from worded order by score desc, id limit 50)
            union all
            (select id, 2.0::float8, row_number() over (order by distance, id)
                from near where occurred_at >= $11 and occurred_at < $12 order by distance, id limit 50)
            union all
            (select id, 2.0::float8 * $13, row_number() over (order by score desc, id)
                from worded where occurred_at >= $11 and occurred_at < $12 order by score desc, id limit 50)
        ),
        fused as materialized (
            select id, sum(weight / (60 + place)) as score
            from leg
            group by id
            order by score desc, id
            limit 40
        )
        select kind, source_id, ordinal, thread_id, chunks.occurred_at, title, header, text,
            (select text from chunks as other
                where user_id = $1 and other.source_id = chunks.source_id and other.ordinal = chunks.ordinal - 1
            ) as "previous?",
            (select text from chunks as other
                where user_id = $1 and other.source_id = chunks.source_id and other.ordinal = chunks.ordinal + 1
            ) as "next?",
            fused.score::float8 as "score!",
            (-(embedding <#> $4::halfvec))::float8 as "cosine?",
            coalesce(worded.matched, 0)::float8 as "matched!",
            embedding as "embedding?: HalfVector"
        from fused
        join chunks using (id)
        left join worded using (id)
        left join lateral (
            select embedding from chunk_embeddings
            where user_id = $1 and chunk_id = chunks.id
                and model_id = (
                    select id from embedding_models where name = $5 and dimensions = vector_dims($4::halfvec)
                )
        ) as vector on true
        where chunks.user_id = $1
        order by fused.score desc, chunks.id
        "#,
        user_id,
        query.topic,
        query.names,
        query.vector as Option<HalfVector>,
        query.model,
        query.kinds.as_deref(),
        query.after,
        query.before,
        query.participants.as_deref(),
        query.source_id,
        query.said_after,
        query.said_before,
        query.keyword_weight,
    )
    .fetch_all(&mut **tx)
    .await
}
