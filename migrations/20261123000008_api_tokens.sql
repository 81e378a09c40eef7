-- Personal API tokens for scripts: what the user sees of them, and apart from it the routing table by
-- which a request's token finds its user. Like `sessions`, that one is read before anybody's scope is
-- known, by the hash alone, and holds no content. New tables: the running version doesn't know them.

create table api_tokens (
    id uuid primary key,
    user_id uuid not null references users on delete cascade,
    name text not null,
    created_at timestamptz not null
);
create index api_tokens_of_user on api_tokens (user_id, created_at desc, id desc);

alter table api_tokens enable row level security;
alter table api_tokens force row level security;
create policy owner on api_tokens using (user_id = (select app_user_id()));

create table api_token_keys (
    -- SHA-256 of the token, which is shown once and kept nowhere.
    token_hash bytea primary key,
    token_id uuid not null constraint api_token_keys_of_token unique
        references api_tokens on delete cascade,
    user_id uuid not null references users on delete cascade,
    -- Of 'read', 'write', 'approve'.
    scopes text[] not null
        constraint api_token_keys_scopes check (
            scopes <@ array['read', 'write', 'approve'] and cardinality(scopes) > 0
        ),
    -- Null: until it is deleted.
    expires_at timestamptz,
    -- Moves at most once a minute, so that reading doesn't write.
    last_used_at timestamptz
);
create index api_token_keys_of_user on api_token_keys (user_id);

grant select, insert, update, delete on api_tokens, api_token_keys to paraplanner_app;
