-- The advisor's standing instructions, and what each did about each event. New tables, and a column that
-- is null for events that are there: they were recorded before there were rules, and are marked as dealt
-- with, so that no rule acts on the past.

create table rules (
    id uuid not null,
    user_id uuid not null references users on delete cascade,
    -- As the user wrote it; it could be read when it was saved.
    text text not null,
    enabled boolean not null,
    -- 'auto': what it does outside needs no approval.
    autonomy text not null constraint rules_autonomy check (autonomy in ('inherit', 'auto')),
    created_at timestamptz not null,
    last_matched_at timestamptz,
    match_count bigint default 0 not null,
    -- One after the other; so many and it is switched off.
    failures integer default 0 not null,
    -- Why it was switched off by itself, in words for the user.
    notice text,
    primary key (user_id, id)
);

create table rule_runs (
    user_id uuid not null,
    rule_id uuid not null,
    event_id uuid not null,
    -- 'acted'; or what held it back: 'too_many', 'thread', 'recipient', 'no_model'.
    outcome text not null,
    -- What limits are counted by.
    thread_id uuid,
    recipient text,
    -- The tasks that it queued.
    task_ids uuid[] not null,
    ran_at timestamptz not null,
    primary key (user_id, rule_id, event_id),
    constraint rule_runs_rule foreign key (user_id, rule_id) references rules (user_id, id) on delete cascade
);
create index rule_runs_latest on rule_runs (user_id, ran_at);

do $$
declare t text;
begin
    foreach t in array array['rules', 'rule_runs'] loop
        execute format('alter table %I enable row level security', t);
        execute format('alter table %I force row level security', t);
        execute format('create policy owner on %I using (user_id = (select app_user_id()))', t);
        execute format('grant select, insert, update, delete on %I to paraplanner_app', t);
    end loop;
end $$;

-- When rules had looked at it.
alter table events add column handled_at timestamptz;
update events set handled_at = recorded_at;
create index events_open on events (user_id, id) where handled_at is null;
