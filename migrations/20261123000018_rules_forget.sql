-- What rules did goes with the event that they did it for.

delete from rule_runs
where not exists (
    select from events where events.user_id = rule_runs.user_id and events.id = rule_runs.event_id
);
alter table rule_runs
    add constraint rule_runs_event foreign key (user_id, event_id)
        references events (user_id, id) on delete cascade;
create index rule_runs_event on rule_runs (user_id, event_id);
