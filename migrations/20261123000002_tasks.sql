-- Queued work: one wide table, all indexes partial, so that a finished task leaves most of them.
--
-- A worker's connection sets `app.worker` and may touch every user's tasks, to claim and to write
-- outcomes; everybody else sees their own rows only. Leases use the database's now().

create table instances (
    id int generated always as identity primary key,
    -- The process holds its running tasks until then, and moves it at a third of the lock timeout.
    lease_until timestamptz not null
);

create table tasks (
    id bigint generated always as identity primary key,
    -- What the API calls the task's id.
    public_id uuid not null constraint tasks_public_id_key unique,
    user_id uuid not null references users on delete cascade,
    kind text not null,
    payload jsonb not null,
    state text not null default 'pending'
        check (state in ('pending', 'in_progress', 'waiting', 'done', 'failed', 'cancelled')),
    -- Lower goes first: 0 somebody waits, 10 ordinary, 20 bulk.
    priority smallint not null default 10,
    run_at timestamptz not null,
    attempts int not null default 0,
    max_attempts int not null check (max_attempts > 0),
    -- Raised by every claim, rescue and cancel; every write of a worker must carry the current one.
    fence int not null default 0,
    instance_id int,
    -- At most one live task of a kind with this key.
    unique_key text,
    progress_done bigint not null default 0,
    progress_total bigint not null default 0,
    last_error text,
    result jsonb,
    reason text,
    caused_by jsonb,
    request_id text,
    created_at timestamptz not null,
    started_at timestamptz,
    finished_at timestamptz,
    check ((state = 'in_progress') = (instance_id is not null)),
    check ((state in ('done', 'failed', 'cancelled')) = (finished_at is not null))
) with (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);

create index tasks_ready on tasks (priority, run_at, id) where state = 'pending';
create index tasks_running on tasks (instance_id) where state = 'in_progress';
create unique index tasks_unique_key on tasks (kind, user_id, unique_key)
    where state in ('pending', 'in_progress', 'waiting') and unique_key is not null;
create index tasks_of_user on tasks (user_id, id);
create index tasks_finished on tasks (finished_at) where finished_at is not null;

alter table tasks enable row level security;
alter table tasks force row level security;
create policy owner_or_worker on tasks
    using (user_id = app_user_id() or current_setting('app.worker', true) = 'on');

grant select, insert, update, delete on instances, tasks to paraplanner_app;
