-- What rules did before this doesn't count against them: when they were written, or switched on again.
alter table rules add column watched_from timestamptz default '-infinity' not null;
-- When the day's tokens were last set: what waits for more of them is woken by it.
alter table user_settings add column budget_set_at timestamptz;
