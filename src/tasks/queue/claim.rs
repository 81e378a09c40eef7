//! Taking ready tasks.

use serde_json::Value;
use uuid::Uuid;

use super::{Lease, Queue};
use crate::db::UserId;
use crate::tasks::Priority;

/// How many tasks may be claimed: in all, and of those how many that aren't interactive, and bulk.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    pub all: i64,
    pub but_interactive: i64,
    pub bulk: i64,
}

impl Room {
    /// No limits within the limit.
    pub const fn of(all: i64) -> Self {
        Self {
            all,
            but_interactive: all,
            bulk: all,
        }
    }
}

/// A task that is now this instance's.
#[derive(Debug)]
pub struct Claimed {
    pub id: i64,
    pub public_id: Uuid,
    pub user_id: Option<UserId>,
    pub kind: String,
    pub payload: Value,
    pub priority: i16,
    pub turn: i64,
    pub attempts: i32,
    pub max_attempts: i32,
    pub fence: i32,
    pub request_id: Option<String>,
}

impl Claimed {
    pub const fn lease(&self) -> Lease {
        Lease {
            id: self.id,
            fence: self.fence,
        }
    }
}

/// For each priority, the place in line that claims have reached.
pub type Reached = [i64; 3];

impl Queue {
    /// Takes ready tasks of the known kinds, the most urgent first, each line from `from` on.
    pub async fn claim(
        &self,
        instance: i32,
        kinds: &[String],
        room: Room,
        from: Reached,
    ) -> Result<Vec<Claimed>, sqlx::Error> {
        // Three walks along one index, each begun only when the one before left room. The array pins
        // them: as a plain sub-query the planner may run them again and take more.
        sqlx::query_as!(
            Claimed,
            r#"
            update tasks
            set state = 2, instance_id = $1, fence = fence + 1, attempts = attempts + 1, started_at = now()
            where id = any(array(
                select id
                from (
                    select id
                    from (
                        select id from tasks
                        where state = 1 and priority = 0 and turn >= $6 and kind = any($2)
                        order by turn, id
                        limit $3
                        for update skip locked
                    ) as interactive
                    union all
                    select id
                    from (
                        select id
                        from (
                            select id from tasks
                            where state = 1 and priority = 10 and turn >= $7 and kind = any($2)
                            order by turn, id
                            limit $4
                            for update skip locked
                        ) as ordinary
                        union all
                        select id
                        from (
                            select id from tasks
                            where state = 1 and priority = 20 and turn >= $8 and kind = any($2)
                            order by turn, id
                            limit $5
                            for update skip locked
                        ) as bulk
                        limit $4
                    ) as but_interactive
                ) as ready
                limit $3
            ))
            returning id, public_id, user_id as "user_id: UserId", kind, payload, priority, turn,
                attempts, max_attempts, fence, request_id
            "#,
            instance,
            kinds,
            room.all,
            room.but_interactive,
            room.bulk,
            from[0],
            from[1],
            from[2],
        )
        .fetch_all(&self.pool)
        .await
    }

    /// Tells all senders how far the lines have moved on. Stale is harmless: it only makes a
    /// newcomer's place a little better.
    pub async fn move_on(&self, reached: Reached) -> Result<(), sqlx::Error> {
        sqlx::query!(
            r#"
            select
                case when $1 > (select last_value from task_line_0) then setval('task_line_0', $1) end as "a",
                case when $2 > (select last_value from task_line_10) then setval('task_line_10', $2) end as "b",
                case when $3 > (select last_value from task_line_20) then setval('task_line_20', $3) end as "c"
            "#,
            reached[0],
            reached[1],
            reached[2],
        )
        .fetch_one(&self.pool)
        .await
        .map(drop)
    }

    /// Where the lines stand, as the last `move_on` told.
    pub async fn reached(&self) -> Result<Reached, sqlx::Error> {
        let row = sqlx::query!(
            r#"
            select (select last_value from task_line_0) as "a!",
                (select last_value from task_line_10) as "b!",
                (select last_value from task_line_20) as "c!"
            "#
        )
        .fetch_one(&self.pool)
        .await?;
        Ok([row.a, row.b, row.c])
    }
}

/// The line of a priority.
pub const fn line(priority: i16) -> usize {
    match Priority::of(priority) {
        Priority::Interactive => 0,
        Priority::Ordinary => 1,
        Priority::Bulk => 2,
    }
}
