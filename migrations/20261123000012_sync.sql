-- Which item of a provider is which row of the book, and where the reading of each source stands:
-- imports begun once go on by small steps, and what is deleted there is deleted here.
--
-- `sync_due` is a routing table: read before anybody's scope is known, it holds no content. New
-- tables, and columns with defaults: the running version doesn't know them and goes on.

create table provider_items (
    user_id uuid not null references users on delete cascade,
    source text not null,
    -- The provider's own name for it.
    external_id text not null,
    -- The row of the book; several items may be the same mail.
    item_id uuid,
    -- Why there is none, or an old one: 'unreadable' is tried again, 'excluded' is what the user wants.
    problem text constraint provider_items_problem check (problem in ('unreadable', 'excluded')),
    -- What is wrong in words; of what is excluded, the part of the user's scope that did it.
    reason text,
    -- When it arrived or was changed, by the provider's clock.
    at timestamptz,
    primary key (user_id, source, external_id)
);
create index provider_items_of_item on provider_items (user_id, item_id) where item_id is not null;
create index provider_items_newest on provider_items (user_id, source, at desc nulls last)
    where item_id is not null;
create index provider_items_problems on provider_items (user_id, source) where problem is not null;

-- What the walk under way has met: what it hasn't by its end is gone at the provider.
create table walked_items (
    user_id uuid not null references users on delete cascade,
    source text not null,
    external_id text not null,
    primary key (user_id, source, external_id)
);

do $$
declare t text;
begin
    foreach t in array array['provider_items', 'walked_items'] loop
        execute format('alter table %I enable row level security', t);
        execute format('alter table %I force row level security', t);
        execute format('create policy owner on %I using (user_id = (select app_user_id()))', t);
        execute format('grant select, insert, update, delete on %I to paraplanner_app', t);
    end loop;
end $$;

-- When a source is looked at next, if nobody tells of a change before.
create table sync_due (
    user_id uuid not null references users on delete cascade,
    source text not null,
    due_at timestamptz not null,
    primary key (user_id, source)
);
create index sync_due_at on sync_due (due_at);
grant select, insert, update, delete on sync_due to paraplanner_app;

alter table sources drop constraint sources_source;
alter table sources add constraint sources_source check (
    source in ('gmail', 'calendar', 'hubspot_contacts', 'hubspot_notes', 'hubspot_deals')
);
alter table sources
    -- Where changes are listed from: a history id, a sync token, a time of change.
    add column cursor text,
    -- The walk through everything that is under way: the first one, one because the cursor was lost,
    -- or the daily one that finds what notifications lost.
    add column walk text constraint sources_walk check (walk in ('first', 'lost', 'daily')),
    add column walk_started_at timestamptz,
    -- Its listing is read to the end; what it hasn't met is still to be removed.
    add column walk_listed boolean default false not null,
    -- Where the listing of changes goes on, of many.
    add column changes_page text,
    -- What the walk under way has put right.
    add column repairs bigint default 0 not null,
    add column gaps_repaired bigint default 0 not null,
    add column last_reconciled_at timestamptz,
    -- The user's scope of import was changed since it was last applied.
    add column scope_changed boolean default false not null,
    -- Why the last look failed, in words for the user.
    add column problem text;

-- What is connected already is looked at now.
insert into sync_due (user_id, source, due_at)
select user_id, source, now()
from connection_routes
join (values
    ('google', 'gmail'), ('google', 'calendar'),
    ('hubspot', 'hubspot_contacts'), ('hubspot', 'hubspot_notes'), ('hubspot', 'hubspot_deals')
) as given (provider, source) using (provider);
