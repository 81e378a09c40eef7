-- What a customer system holds beside people: notes and deals; which rows a file brought, so that a
-- provider's deletion takes away only what the provider alone told us; and by what one person is
-- known again: where they appear, and what they share with others.
--
-- New tables and columns with defaults: the running version doesn't know them. It writes rows
-- as if no file had brought them, for the minutes that both run.

create table notes (
    id uuid primary key,
    user_id uuid not null references users on delete cascade,
    dedupe_key bytea not null,
    -- The provider's own id: 'hubspot:900'.
    uid text not null,
    text text not null,
    written_at timestamptz,
    -- The uids of the contacts that it is about.
    about text[] not null,
    content_hash bytea not null,
    imported_at timestamptz not null,
    constraint notes_dedupe_key unique (user_id, dedupe_key)
);

create table deals (
    id uuid primary key,
    user_id uuid not null references users on delete cascade,
    dedupe_key bytea not null,
    uid text not null,
    name text not null,
    -- As the provider writes it: a number, in the account's currency.
    amount text,
    stage text,
    pipeline text,
    closes_on date,
    description text,
    about text[] not null,
    -- The record as lines: what is searched, and what quotes are checked against.
    text text not null,
    content_hash bytea not null,
    imported_at timestamptz not null,
    constraint deals_dedupe_key unique (user_id, dedupe_key)
);

-- Who appears in what, and when: "the latest with these" is a walk along one index. Row-level security
-- keeps array operators out of index conditions, hence a row for each.
create table appearances (
    user_id uuid not null references users on delete cascade,
    -- An address key (`book::address_key`), or the uid of a contact.
    who text not null,
    kind text not null constraint appearances_kind check (kind in ('email', 'event', 'note', 'deal')),
    item_id uuid not null,
    -- 'from': wrote the mail, called the meeting.
    role text not null constraint appearances_role check (role in ('from', 'to')),
    at timestamptz,
    primary key (user_id, item_id, who)
);
create index appearances_latest on appearances (user_id, who, kind, at desc nulls last, item_id);

-- What two contacts of one household may share: 'mail:<address key>', 'phone:<last ten digits>',
-- 'home:<street address, its words>'.
create table contact_keys (
    user_id uuid not null references users on delete cascade,
    contact_id uuid not null references contacts on delete cascade,
    key text not null,
    primary key (user_id, key, contact_id)
);
create index contact_keys_contact on contact_keys (contact_id);

alter table emails add column from_file boolean default false not null;
alter table contacts add column from_file boolean default false not null;
alter table calendar_events add column from_file boolean default false not null;

-- Who owns the tables may not be a superuser: for the length of this transaction, which no other
-- passes, the policies don't bind the owner.
alter table emails no force row level security;
alter table contacts no force row level security;
alter table calendar_events no force row level security;
alter table sources no force row level security;
alter table chunks no force row level security;

-- An index has no room for the longest uid that a file may hold, and no provider's is so long.
update contacts set uid = null where length(uid) > 320;

-- Where no connection was ever read, everything came from files.
update emails set from_file = true
where not exists (
    select from sources where sources.user_id = emails.user_id and source = 'gmail'
);
update contacts set from_file = true
where not exists (
    select from sources where sources.user_id = contacts.user_id and source = 'hubspot_contacts'
);
update calendar_events set from_file = true
where not exists (
    select from sources where sources.user_id = calendar_events.user_id and source = 'calendar'
);

-- As `book::address_key` has it, but for domains that aren't ASCII: those rows are found under their
-- old spelling until they change.
create function pg_temp.address_key(address text) returns text
language sql immutable
return (
    select case
        when strpos(whole, '@') = 0 then whole
        when whole like '"%' then regexp_replace(whole, '@[^@]*$', '') || '@' || domain
        when domain = 'gmail.com' and mailbox ~ '[^.]' then replace(mailbox, '.', '') || '@' || domain
        else mailbox || '@' || domain
    end
    from (select btrim(lower(address)) as whole) as given,
        lateral (select regexp_replace(whole, '^.*@', '') as written) as parted,
        lateral (
            select case rtrim(written, '. ') when 'googlemail.com' then 'gmail.com' else rtrim(written, '. ') end as domain,
                regexp_replace(regexp_replace(whole, '@[^@]*$', ''), '^([^+]+)\+.*$', '\1') as mailbox
        ) as cut
);

insert into appearances (user_id, who, kind, item_id, role, at)
select user_id, who, 'email', id, case when bool_or(address = lower(sender ->> 'address')) then 'from' else 'to' end, sent_at
from emails,
    unnest(participants) as address,
    lateral (select pg_temp.address_key(address) as who) as known
where length(who) between 1 and 320
group by id, who;

insert into appearances (user_id, who, kind, item_id, role, at)
select user_id, who, 'event', id, case when bool_or(called) then 'from' else 'to' end, starts_at
from calendar_events,
    lateral (
        select organiser ->> 'address' as address, true as called where organiser is not null
        union all
        select guest ->> 'address', false from jsonb_array_elements(attendees) as guest
    ) as person,
    lateral (select pg_temp.address_key(address) as who) as known
where length(who) between 1 and 320
group by id, who;

insert into contact_keys (user_id, contact_id, key)
select user_id, id, key
from contacts,
    lateral (
        select 'mail:' || pg_temp.address_key(address) as key from unnest(emails) as address
        where length(address) <= 320
        union
        select 'phone:' || right(digits, 10)
        from unnest(phones) as phone,
            regexp_replace(replace(regexp_replace(phone, '[xX#;,].*$', ''), '(0)', ''), '[^0-9]', '', 'g') as digits
        where length(digits) >= 7
        union
        select 'home:' || left(words, 200)
        from unnest(addresses) as address,
            btrim(regexp_replace(lower(address), '[^[:alnum:]]+', ' ', 'g')) as words
        where words ~ '[0-9]' and length(words) >= 10
    ) as shared;

-- Passages name their participants by the same keys.
update chunks set participants = array(
    select distinct pg_temp.address_key(address) from unnest(participants) as address
)
where exists (
    select from unnest(participants) as address where pg_temp.address_key(address) <> address
);

drop function pg_temp.address_key(text);

alter table emails force row level security;
alter table contacts force row level security;
alter table calendar_events force row level security;
alter table sources force row level security;
alter table chunks force row level security;

-- Notes and deals name their people by it.
create index contacts_uid on contacts (user_id, uid);

do $$
declare t text;
begin
    foreach t in array array['notes', 'deals', 'appearances', 'contact_keys'] loop
        execute format('alter table %I enable row level security', t);
        execute format('alter table %I force row level security', t);
        execute format('create policy owner on %I using (user_id = (select app_user_id()))', t);
        execute format('grant select, insert, update, delete on %I to paraplanner_app', t);
    end loop;
end $$;
