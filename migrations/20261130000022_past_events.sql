-- What happened before the user was connected is kept as well, so that a rule can be rehearsed on the first
-- day. It is dealt with from the start: no rule acts upon it. The version that runs beside this one neither
-- writes nor reads such rows otherwise than as dealt with. A default without a rewrite: the lock is short.
alter table events add column past boolean default false not null;
comment on column events.past is 'happened before anybody listened; for rehearsals alone';
