-- What the assistant wants to do, what was done in the user's name, and what it may do by itself.
-- New tables, and columns with constant defaults: the running version goes on without them.

-- The diary of what was done: append-only, each row over the hash of the one before it.
create table activity (
    user_id uuid not null references users on delete cascade,
    -- 1, 2, 3 … without gaps.
    place bigint not null,
    id uuid not null,
    at timestamptz not null,
    actor text not null
        constraint activity_actor check (actor in ('user', 'assistant', 'rule', 'system')),
    action text not null,
    -- Whom or what it concerned, for people.
    target text,
    -- {conversation_id, rule_id, task_id, event_id}
    why jsonb not null,
    proposed jsonb,
    final jsonb,
    result jsonb,
    -- How it can be taken back; null where it can't.
    undo jsonb,
    -- The entry that this one takes back.
    undoes uuid,
    hash bytea not null,
    primary key (user_id, place),
    constraint activity_id unique (user_id, id)
);
create unique index activity_undone on activity (user_id, undoes) where undoes is not null;

-- Where each chain ends: what was cut off its end is missed, and appending waits in line here.
create table activity_heads (
    user_id uuid primary key references users on delete cascade,
    place bigint not null,
    hash bytea not null
);

-- What is to be done outside: decided upon, and then done as it stands here.
create table approvals (
    user_id uuid not null references users on delete cascade,
    id uuid not null,
    action text not null,
    -- What will be done, and the SHA-256 of its canonical form (RFC 8785) with action and scope.
    input jsonb not null,
    digest text not null,
    -- As it was first wanted, where the user has changed it.
    proposed jsonb,
    preview jsonb not null,
    reason text not null,
    -- List of {code, text}.
    risk jsonb not null,
    -- List of {kind, id, title, readers}.
    sources jsonb not null,
    caused_by jsonb not null,
    -- What edits are judged by again.
    bounds jsonb not null,
    state text not null constraint approvals_state
        check (state in ('pending', 'approved', 'rejected', 'expired', 'stale', 'superseded')),
    -- Allowed by a setting or rule; nobody was asked.
    automatic boolean not null,
    policy_version int not null,
    -- What the user said when refusing, or why it became stale.
    decision text,
    -- {state, result, error} of what was done.
    outcome jsonb,
    -- What carries it out.
    task_id uuid,
    -- The call of a run that asked for it: asked again, it is this one.
    cause_key text not null,
    created_at timestamptz not null,
    decided_at timestamptz,
    expires_at timestamptz not null,
    primary key (user_id, id),
    constraint approvals_cause unique (user_id, cause_key)
);
create index approvals_pending on approvals (user_id, id) where state = 'pending';

-- Replies that are waited for: by whose mail, and to what.
create table awaited (
    user_id uuid not null references users on delete cascade,
    -- What is told when one comes: reply:{id}.
    id uuid not null,
    -- Message-IDs that an answer may name, without brackets.
    message_ids text[] not null,
    -- The provider's conversation.
    thread text,
    -- Keys of the addresses of those who are waited for.
    addresses text[] not null,
    since timestamptz not null,
    -- What came and wasn't it: {email_id, from, why}.
    heard jsonb default '[]' not null,
    primary key (user_id, id)
);

-- The assistant's work that outlives a request: what was said and done, in order.
create table runs (
    user_id uuid not null references users on delete cascade,
    id uuid not null,
    conversation_id uuid,
    caused_by jsonb not null,
    -- Who may be written to, and what was read: fixed by code, never by a text.
    bounds jsonb not null,
    created_at timestamptz not null,
    primary key (user_id, id)
);
create table run_turns (
    user_id uuid not null,
    run_id uuid not null,
    place int not null,
    turn jsonb not null,
    primary key (user_id, run_id, place),
    constraint run_turns_run foreign key (user_id, run_id) references runs (user_id, id) on delete cascade
);

-- Tokens by day (in the user's own time zone) and purpose.
create table usage_days (
    user_id uuid not null references users on delete cascade,
    day date not null,
    purpose text not null,
    input_tokens bigint not null,
    output_tokens bigint not null,
    primary key (user_id, day, purpose)
);

do $$
declare t text;
begin
    foreach t in array array['activity', 'activity_heads', 'approvals', 'awaited', 'runs', 'run_turns', 'usage_days'] loop
        execute format('alter table %I enable row level security', t);
        execute format('alter table %I force row level security', t);
        execute format('create policy owner on %I using (user_id = (select app_user_id()))', t);
    end loop;
    foreach t in array array['approvals', 'awaited', 'runs', 'run_turns', 'usage_days'] loop
        execute format('grant select, insert, update, delete on %I to paraplanner_app', t);
    end loop;
end $$;
-- Neither changed nor removed, not even by us: rows go with their user alone.
grant select, insert on activity to paraplanner_app;
grant select, insert, update on activity_heads to paraplanner_app;

alter table user_settings
    add column time_zone text,
    add column working_hours jsonb,
    add column autonomy_send_email text default 'ask' not null,
    add column autonomy_create_event text default 'ask' not null,
    add column autonomy_write_crm text default 'ask' not null,
    add column auto_recipients text default 'known' not null,
    add column instructions text default '' not null,
    add column send_updates text default 'all' not null,
    add column daily_token_budget bigint default 1000000 not null,
    -- Since when nothing may go out; null while it may.
    add column paused_at timestamptz;
