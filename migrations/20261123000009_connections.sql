-- A user's grants at Google and HubSpot, the sign-ins under way, and revocations that are owed.
--
-- Tokens are sealed (src/secret/seal.rs): what stands here is of no use without the program's keys.
-- `connection_routes` is a routing table: read before anybody's scope is known (who signs in, whose
-- mailbox or portal a notification is about), it holds no content. New tables: the running version
-- doesn't know them.

create table connections (
    user_id uuid not null references users on delete cascade,
    provider text not null constraint connections_provider check (provider in ('google', 'hubspot')),
    -- Another one at each consent: tasks that wait for the user wait for this id to be replaced.
    id uuid not null constraint connections_id_key unique,
    -- What the user knows it by: a mailbox address, a HubSpot domain or number.
    account text not null,
    -- As granted, in the short form; what was unticked isn't here.
    scopes text[] not null,
    status text not null default 'connected'
        constraint connections_status check (status in ('connected', 'needs_reauth')),
    -- Why it needs the user, as a code.
    problem text,
    access_token bytea,
    access_expires_at timestamptz,
    refresh_token bytea not null,
    -- Somebody asks the provider for an access token until then; nobody else does meanwhile.
    refreshing_until timestamptz,
    connected_at timestamptz not null,
    primary key (user_id, provider)
);

alter table connections enable row level security;
alter table connections force row level security;
create policy owner on connections using (user_id = (select app_user_id()));

create table connection_routes (
    user_id uuid not null references users on delete cascade,
    provider text not null,
    -- Google's subject; HubSpot's portal and user.
    account_id text not null,
    -- What notifications name: the mailbox in lower case, the portal.
    realm text not null,
    sealed_with text not null,
    primary key (user_id, provider),
    constraint connection_routes_account_key unique (provider, account_id)
);
create index connection_routes_realm on connection_routes (provider, realm);

create table oauth_states (
    -- SHA-256 of the state that went out with the browser.
    state_hash bytea primary key,
    provider text not null,
    -- SHA-256 of the cookie that the browser was given: the flow ends where it began.
    browser_hash bytea not null,
    -- Who was signed in when it began; HubSpot is connected by somebody signed in.
    user_id uuid references users on delete cascade,
    redirect_uri text not null,
    return_to text not null,
    expires_at timestamptz not null
);
create index oauth_states_expiry on oauth_states (expires_at);

create table revocations (
    id uuid primary key,
    provider text not null,
    -- HMAC of the account, so that a grant that was given anew meanwhile isn't ended.
    account_hash bytea not null,
    -- Sealed for this row; nobody's, so that it may outlive its user for a day.
    token bytea not null,
    created_at timestamptz not null
);
create index revocations_of_account on revocations (account_hash);

grant select, insert, update, delete
    on connections, connection_routes, oauth_states, revocations to paraplanner_app;
