-- How far each source of a connection has been read: the walk through its listing goes on where it
-- was left, also after a crash. A new table: the running version doesn't know it.

create table sources (
    user_id uuid not null references users on delete cascade,
    source text not null constraint sources_source check (
        source in ('gmail', 'calendar', 'hubspot_contacts')
    ),
    -- The connection's account: another one's is read from the beginning.
    account text not null,
    -- Where the walk goes on, in the provider's words; null when none is under way.
    page text,
    -- Of this walk, or of the last one.
    done bigint not null default 0,
    -- What the provider says that there is; an estimate while the walk is under way.
    total bigint,
    -- Items that could not be read in this walk; they never stop the others.
    unreadable bigint not null default 0,
    last_synced_at timestamptz,
    primary key (user_id, source)
);

alter table sources enable row level security;
alter table sources force row level security;
create policy owner on sources using (user_id = (select app_user_id()));

grant select, insert, update, delete on sources to paraplanner_app;
