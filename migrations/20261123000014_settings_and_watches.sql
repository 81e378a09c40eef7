-- What users set; and the promises of notifications that go with their grants.
--
-- `watches` is a routing table: a notification names the channel, before anybody's scope is known. It
-- holds no content. New tables: the running version doesn't know them.

create table user_settings (
    user_id uuid primary key references users on delete cascade,
    -- What of the mailbox is never imported: names of labels, addresses and domains of senders.
    labels text[] not null default '{}',
    never_senders text[] not null default '{}',
    never_domains text[] not null default '{}',
    own_addresses text[] not null default '{}'
);
alter table user_settings enable row level security;
alter table user_settings force row level security;
create policy owner on user_settings using (user_id = (select app_user_id()));
grant select, insert, update, delete on user_settings to paraplanner_app;

create table watches (
    -- What the provider calls the channel; ours. Gmail's watches have no name: 'gmail:<user>'.
    channel_id text primary key,
    user_id uuid not null references users on delete cascade,
    what text not null constraint watches_what check (what in ('gmail', 'calendar')),
    -- SHA-256 of the token that a calendar's notifications carry.
    token_hash bytea,
    -- The provider's name for what is watched; null until the provider has confirmed it.
    resource_id text,
    expires_at timestamptz not null,
    created_at timestamptz not null
);
create index watches_of_user on watches (user_id, what);
create index watches_expiry on watches (expires_at);
grant select, insert, update, delete on watches to paraplanner_app;

-- What is still to be stopped before a grant is ended.
alter table revocations add column channels jsonb default '[]' not null;
