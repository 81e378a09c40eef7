-- What providers told us, and what happened. A delivery is stored before it is answered: its key makes
-- it once for each user whom it concerns, over all instances. An event is what follows from it, or from
-- a look of our own, with the name that rules know. New tables and a column with a default: the running
-- version doesn't know them and goes on.

create table webhook_events (
    id uuid not null,
    user_id uuid not null references users on delete cascade,
    provider text not null
        constraint webhook_events_provider check (provider in ('hubspot', 'gmail', 'calendar')),
    -- A digest over what makes it the same when it is told again.
    event_key bytea not null,
    -- In the provider's own words: 'contact.creation'.
    kind text not null,
    -- 'contact', 'deal' or 'note' where it is about something that is read, else empty.
    object_kind text not null,
    object_ids text[] not null,
    verified_by text not null,
    -- As it came.
    content jsonb not null,
    request_id text,
    -- By the provider's clock, and by ours.
    occurred_at timestamptz,
    received_at timestamptz not null,
    -- When it had been acted upon, by which task, and what it came to.
    handled_at timestamptz,
    task_id uuid,
    event_ids uuid[] default '{}' not null,
    primary key (user_id, id),
    constraint webhook_events_once unique (user_id, provider, event_key)
);
create index webhook_events_open on webhook_events (user_id, provider, object_kind, id)
    where handled_at is null;

create table events (
    id uuid not null,
    user_id uuid not null references users on delete cascade,
    -- 'hubspot.contact.creation'
    name text not null,
    -- What makes it once, whoever finds it.
    event_key bytea not null,
    -- The row of the book that it is about; it may be gone.
    item_kind text,
    item_id uuid,
    -- The provider's name for that.
    external_id text,
    -- What the book can't tell: the property that changed, and its value then.
    data jsonb not null,
    caused_by jsonb,
    occurred_at timestamptz not null,
    recorded_at timestamptz not null,
    primary key (user_id, id),
    constraint events_once unique (user_id, event_key)
);
create index events_of_cause on events (user_id, (caused_by ->> 'id')) where caused_by is not null;

do $$
declare t text;
begin
    foreach t in array array['webhook_events', 'events'] loop
        execute format('alter table %I enable row level security', t);
        execute format('alter table %I force row level security', t);
        execute format('create policy owner on %I using (user_id = (select app_user_id()))', t);
        execute format('grant select, insert, update, delete on %I to paraplanner_app', t);
    end loop;
end $$;

-- What is older than the first reading of a source is the past, and no event.
alter table sources add column began_at timestamptz default now() not null;
