-- What a door stores for a hundred deliveries in one request, for `pgbench --file benches/webhooks_batch.sql --define
-- user=<id> --protocol prepared` as the role of the database's owner: the events, and the one task that acts upon them.
\set event random(1, 2000000000)
begin;
select set_config('app.user_id', cast(:user as text), true);
insert into webhook_events (id, user_id, provider, event_key, kind, object_kind, object_ids, verified_by,
    content, occurred_at, received_at)
select gen_random_uuid(), cast(:user as uuid), 'hubspot',
    sha256(convert_to(cast(:event as text) || n || random(), 'UTF8')), 'contact.creation',
    'contact', array[cast(n as text)], 'hubspot_v3',
    '{"eventId":100,"subscriptionId":321,"portalId":4242,"appId":777,"occurredAt":1767225600000,"subscriptionType":"contact.creation","attemptNumber":0,"objectId":51,"changeFlag":"NEW","changeSource":"CRM_UI"}',
    now(), now()
from generate_series(1, 100) as n
on conflict (user_id, provider, event_key) do nothing;
insert into tasks (public_id, user_id, kind, payload, state, priority, turn, run_at, max_attempts, unique_key,
    created_at)
values (gen_random_uuid(), cast(:user as uuid), 'handle_deliveries', '{"provider":"hubspot"}', 1, 0, task_turn(cast(:user as uuid), cast(0 as smallint)),
    now(), 10, cast(:event as text) || random(), now());
commit;
