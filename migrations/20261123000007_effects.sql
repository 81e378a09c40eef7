-- What is to be done to the outside world, each at most once: the outbox.
--
-- A row is committed before anything happens (`planned`), again before the provider hears of it
-- (`sending`), and again with what came of it. Whoever finds `sending` asks the provider first.

create table effects (
    id uuid primary key,
    user_id uuid not null references users on delete cascade,
    -- Over user, cause, step and action, not over the wording: what makes it once.
    effect_key text not null,
    action text not null,
    -- What is sent, as it was decided: a model asked again words it differently.
    input jsonb not null,
    state text not null default 'planned'
        constraint effects_state check (state in ('planned', 'sending', 'done', 'failed', 'unknown')),
    -- The task that carries it out, and the fence under which it last began to send.
    task_id uuid not null,
    fence int,
    -- Times that the provider was called to do it, looking it up apart.
    sent int not null default 0,
    -- What the provider calls it (a draft's id), noted midway so that recovery can look for it.
    noted jsonb,
    result jsonb,
    error text,
    created_at timestamptz not null,
    sending_at timestamptz,
    ended_at timestamptz,
    constraint effects_key unique (user_id, effect_key),
    constraint effects_ended check ((state in ('done', 'failed', 'unknown')) = (ended_at is not null))
);

create index effects_of_user on effects (user_id, id);
create index effects_open on effects (sending_at) where state in ('planned', 'sending');

alter table effects enable row level security;
alter table effects force row level security;
create policy owner on effects using (user_id = (select app_user_id()));

grant select, insert, update, delete on effects to paraplanner_app;
