-- Which embedding model each user's search compares with.
--
-- A server may change the length of its vectors silently, and pgvector fails to compare different lengths:
-- from here on a model is its name and its length. `index_routes` is a routing table: after a change of
-- settings it says, before anybody's scope is known, whose passages are to get other vectors. It holds no
-- content. What the running version doesn't know may be null.

alter table embedding_models add column dimensions int;
alter table embedding_models
    drop constraint embedding_models_name_key,
    add constraint embedding_models_name_key unique (name, dimensions);

create table index_routes (
    user_id uuid primary key references users on delete cascade,
    -- The last model that all passages had a vector of, or had most of; null before there is any.
    serving smallint references embedding_models,
    serving_since timestamptz,
    -- The model, by name, for which every passage without its vector has been put into the queue.
    queued_for text,
    -- The same as its vectors are stored; null until there is one.
    queued_model smallint references embedding_models,
    -- There are vectors of other models still.
    former boolean not null default false,
    -- The last attempt to make vectors failed.
    stalled boolean not null default false
);
create index index_routes_former on index_routes (user_id) where former;
grant select, insert, update, delete on index_routes to paraplanner_app;

-- Row-level security binds the tables' owner too. These are locked until the transaction's end, so that
-- nobody meets them without it.
alter table chunks no force row level security;
alter table chunk_embeddings no force row level security;
update embedding_models
set dimensions = (
    select vector_dims(embedding) from chunk_embeddings where model_id = embedding_models.id limit 1
);
delete from chunk_embeddings
using embedding_models
where embedding_models.id = model_id and vector_dims(embedding) <> dimensions;
insert into index_routes (user_id, serving, serving_since, former)
select user_id,
    (
        select model_id from chunk_embeddings
        where chunk_embeddings.user_id = owners.user_id
        group by model_id
        order by count(*) desc
        limit 1
    ),
    now(),
    true
from (select distinct user_id from chunks) as owners;
alter table chunks force row level security;
alter table chunk_embeddings force row level security;
