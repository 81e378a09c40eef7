-- Passages of the book, their words and their vectors.
--
-- Row-level security keeps non-leakproof operators (@@, <=>) out of index conditions, so a search
-- reads the user's own rows by `user_id` and judges them there: exact, and measured fast enough up
-- to some 50,000 passages a user. Vectors stand apart from the text, so that the scan reads narrow
-- rows; `storage plain` keeps them inline at every length that pgvector's halfvec has.

create table embedding_models (
    id smallint generated always as identity primary key,
    -- Model, dimensions and version of the preprocessing, as one name: vectors are only compared within it.
    name text not null constraint embedding_models_name_key unique
);

create table chunks (
    id bigint generated always as identity primary key,
    user_id uuid not null references users on delete cascade,
    kind text not null check (kind in ('email', 'contact', 'event', 'note', 'deal', 'document')),
    source_id uuid not null,
    ordinal int not null,
    thread_id uuid,
    occurred_at timestamptz,
    -- What the source is called where it is listed.
    title text not null,
    -- One line that is embedded and searched in front of the text, never quoted.
    header text not null,
    -- Spans of the source's stored text, parted by blank lines.
    text text not null,
    participants text[] not null,
    words tsvector not null,
    constraint chunks_place_key unique (user_id, source_id, ordinal)
);

create table chunk_embeddings (
    user_id uuid not null references users on delete cascade,
    model_id smallint not null references embedding_models,
    chunk_id bigint not null references chunks on delete cascade,
    kind text not null,
    occurred_at timestamptz,
    embedding halfvec not null,
    primary key (user_id, model_id, chunk_id)
);
alter table chunk_embeddings alter column embedding set storage plain;
create index chunk_embeddings_chunk on chunk_embeddings (chunk_id);

-- Passages that wait for a vector.
create table chunks_to_embed (
    chunk_id bigint primary key references chunks on delete cascade,
    user_id uuid not null references users on delete cascade
);
create index chunks_to_embed_user on chunks_to_embed (user_id, chunk_id);

do $$
declare t text;
begin
    foreach t in array array['chunks', 'chunk_embeddings', 'chunks_to_embed'] loop
        execute format('alter table %I enable row level security', t);
        execute format('alter table %I force row level security', t);
        execute format('create policy owner on %I using (user_id = app_user_id())', t);
        execute format('grant select, insert, update, delete on %I to paraplanner_app', t);
    end loop;
end $$;
grant select, insert on embedding_models to paraplanner_app;
