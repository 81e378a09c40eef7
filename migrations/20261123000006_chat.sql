-- Conversations are kept by the server: what a client claims was said earlier is never read.

create table conversations (
    id uuid primary key,
    user_id uuid not null references users on delete cascade,
    title text not null,
    created_at timestamptz not null,
    updated_at timestamptz not null
);
create index conversations_recent on conversations (user_id, updated_at desc, id desc);

create table messages (
    id uuid primary key,
    user_id uuid not null references users on delete cascade,
    conversation_id uuid not null references conversations on delete cascade,
    role text not null check (role in ('user', 'assistant')),
    -- 'model' or 'extractive'; null for the user's own.
    mode text,
    text text not null,
    -- As the API shows them.
    citations jsonb not null default '[]',
    tool_calls jsonb not null default '[]',
    warnings jsonb not null default '[]',
    usage jsonb,
    -- False while the answer is being made, and for one that was cut off.
    complete boolean not null default true,
    created_at timestamptz not null
);
create index messages_of_conversation on messages (user_id, conversation_id, created_at, id);

do $$
declare t text;
begin
    foreach t in array array['conversations', 'messages'] loop
        execute format('alter table %I enable row level security', t);
        execute format('alter table %I force row level security', t);
        execute format('create policy owner on %I using (user_id = app_user_id())', t);
        execute format('grant select, insert, update, delete on %I to paraplanner_app', t);
    end loop;
end $$;
