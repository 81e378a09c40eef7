-- How far the demo's clock is ahead of the system's: one row, shared by all instances, kept over a
-- restart. Only DEMO_CONTROLS, which production refuses, writes it. A new table: the running version
-- doesn't know it.

create table demo_clock (
    only_row boolean primary key default true constraint demo_clock_only_row check (only_row),
    ahead_ms bigint not null constraint demo_clock_forward check (ahead_ms >= 0)
);

grant select, insert, update on demo_clock to paraplanner_app;
