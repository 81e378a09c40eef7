-- Files on their way in. An upload is kept in the database until it is read, so that a crash, a
-- deploy or another instance can go on with it; `resume_offset` moves with the items stored.

create table uploads (
    id uuid primary key,
    user_id uuid not null references users on delete cascade,
    -- Set when the whole request has arrived; one without a task is swept after an hour.
    task_id uuid,
    file_name text not null,
    size bigint not null default 0,
    resume_offset bigint not null default 0,
    imported bigint not null default 0,
    unchanged bigint not null default 0,
    unreadable_count bigint not null default 0,
    -- The first few hundred: list of {position, reason}.
    unreadable jsonb not null default '[]',
    finished boolean not null default false,
    created_at timestamptz not null
);
create index uploads_of_task on uploads (user_id, task_id);
create index uploads_abandoned on uploads (created_at) where task_id is null;

create table upload_parts (
    upload_id uuid not null references uploads on delete cascade,
    user_id uuid not null references users on delete cascade,
    -- Where the part begins in the file, in bytes.
    at bigint not null,
    bytes bytea not null,
    primary key (upload_id, at)
);
-- Mail compresses well, but not at the price of the importer's processor.
alter table upload_parts alter column bytes set storage external;
create index upload_parts_user on upload_parts (user_id);

do $$
declare t text;
begin
    foreach t in array array['uploads', 'upload_parts'] loop
        execute format('alter table %I enable row level security', t);
        execute format('alter table %I force row level security', t);
        execute format('create policy owner on %I using (user_id = app_user_id())', t);
        execute format('grant select, insert, update, delete on %I to paraplanner_app', t);
    end loop;
end $$;
