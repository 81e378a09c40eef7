-- The advisor's book: the local copy of what files (and later the providers) hold.
--
-- `dedupe_key` makes importing twice add nothing: see `book::keys`. Text is stored as it came, less
-- NUL, because every quote is checked against it letter for letter.

create table emails (
    id uuid primary key,
    user_id uuid not null references users on delete cascade,
    dedupe_key bytea not null,
    -- As RFC 5322 has it, without angle brackets; made up where the mail had none.
    message_id text not null,
    thread_id uuid not null,
    subject text not null,
    -- {name, address} or null.
    sender jsonb,
    -- Lists of {name, address}.
    recipients jsonb not null,
    copied jsonb not null,
    -- Every address of the mail, lower case.
    participants text[] not null,
    sent_at timestamptz,
    text text not null,
    html text,
    -- List of {name, content_type, size}.
    attachments jsonb not null,
    imported_at timestamptz not null,
    constraint emails_dedupe_key unique (user_id, dedupe_key)
);
create index emails_thread on emails (user_id, thread_id, sent_at);

create table contacts (
    id uuid primary key,
    user_id uuid not null references users on delete cascade,
    dedupe_key bytea not null,
    -- The file's own id, where it had one.
    uid text,
    name text not null,
    emails text[] not null,
    phones text[] not null,
    organisation text,
    title text,
    addresses text[] not null,
    birthday text,
    notes text not null,
    -- List of {label, value}: columns and properties that we have no field for.
    extra jsonb not null,
    -- The record as lines of text: what is searched, and what quotes are checked against.
    text text not null,
    -- SHA-256 over all of the above: an import that brings nothing new writes nothing.
    content_hash bytea not null,
    imported_at timestamptz not null,
    constraint contacts_dedupe_key unique (user_id, dedupe_key)
);
create index contacts_name on contacts (user_id, name, id);

create table calendar_events (
    id uuid primary key,
    user_id uuid not null references users on delete cascade,
    dedupe_key bytea not null,
    -- RFC 5545's, shared by a series and its exceptions.
    uid text not null,
    title text not null,
    description text not null,
    location text,
    starts_at timestamptz,
    ends_at timestamptz,
    all_day boolean not null,
    -- The first day of an all-day event, in the calendar's own zone.
    starts_on date,
    time_zone text,
    -- {name, address} or null.
    organiser jsonb,
    -- List of {name, address, status}.
    attendees jsonb not null,
    status text,
    -- An RFC 5545 RRULE.
    recurrence text,
    -- As a contact's.
    text text not null,
    content_hash bytea not null,
    imported_at timestamptz not null,
    constraint calendar_events_dedupe_key unique (user_id, dedupe_key)
);
create index calendar_events_start on calendar_events (user_id, starts_at);

create table documents (
    id uuid primary key,
    user_id uuid not null references users on delete cascade,
    dedupe_key bytea not null,
    title text not null,
    file_name text not null,
    text text not null,
    imported_at timestamptz not null,
    constraint documents_dedupe_key unique (user_id, dedupe_key)
);

do $$
declare t text;
begin
    foreach t in array array['emails', 'contacts', 'calendar_events', 'documents'] loop
        execute format('alter table %I enable row level security', t);
        execute format('alter table %I force row level security', t);
        execute format('create policy owner on %I using (user_id = app_user_id())', t);
        execute format('grant select, insert, update, delete on %I to paraplanner_app', t);
    end loop;
end $$;
