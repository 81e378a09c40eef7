-- Who signs in, and what the others' rows hang on.
--
-- `app_user_id()` is whose rows this transaction may touch: set by `set_config('app.user_id', …, true)`,
-- it ends with the transaction, and unset it is null, which equals no row. Every table with user
-- data forces row-level security on it. `users` and `sessions` are routing tables: they are read
-- before anybody's scope is known, by the session's hash or the user's id alone.

create function app_user_id() returns uuid
language sql stable parallel safe
return nullif(current_setting('app.user_id', true), '')::uuid;

create table users (
    id uuid primary key,
    -- The subject at the identity provider; the account's key, never the address. 'demo:<address>' for demo advisors.
    subject text not null constraint users_subject_key unique,
    email text not null,
    name text not null,
    picture_url text,
    created_at timestamptz not null
);

create table sessions (
    -- SHA-256 of the opaque id in the cookie.
    id_hash bytea primary key,
    user_id uuid not null references users on delete cascade,
    created_at timestamptz not null,
    -- Moves at most once a minute, so that reading doesn't write.
    last_seen_at timestamptz not null,
    -- The absolute end; an idle one comes earlier.
    expires_at timestamptz not null
);
create index sessions_user on sessions (user_id);
create index sessions_expiry on sessions (expires_at);

grant select, insert, update, delete on users, sessions to paraplanner_app;

-- The newest migration applied: the bookkeeping table itself is not for the application's role.
create function paraplanner_migration() returns bigint
language sql stable security definer set search_path = public, pg_temp
as 'select max(version) from _sqlx_migrations where success';
