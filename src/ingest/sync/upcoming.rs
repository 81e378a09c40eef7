//! What is about to happen: a meeting with others that begins within a day is an event, once for each time at
//! which it is to begin. Reads the book, and asks no provider.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::store;
use crate::book::{self, Kind, address_key};
use crate::db::UserScope;
use crate::events::{self, NewEvent};
use crate::identity::settings;
use crate::ids;
use crate::state::App;
use crate::tasks::{Failure, OrFailure as _, Routine, RoutineContext};

/// How long before it begins.
const AHEAD: TimeDelta = TimeDelta::hours(24);
const MEETINGS: i64 = 200;
const USERS: i64 = 500;

/// Every five minutes, for all whose calendar is read.
pub struct NoteUpcoming;

impl Routine<App> for NoteUpcoming {
    const NAME: &'static str = "note_upcoming_meetings";
    const CRON: &'static str = "*/5 * * * *";

    async fn run(context: RoutineContext<App>) -> Result<Value, Failure> {
        let app = &context.app;
        let (mut looked, mut after) = (0, None);
        while !context.stop.is_cancelled() {
            let users = store::with_calendar(&app.pool, after, USERS)
                .await
                .or_retry()?;
            let Some(last) = users.last() else { break };
            after = Some(last.0);
            for user_id in &users {
                if let Err(error) = note(app, UserScope::checked(*user_id)).await {
                    // One user's trouble is no other's.
                    tracing::warn!(user_id = %user_id.0, error = %format!("{error:#}"), "upcoming meetings could not be noted");
                }
            }
            looked += users.len();
        }
        app.tasks.wake();
        Ok(json!({"looked": looked}))
    }
}

async fn note(app: &App, scope: UserScope) -> anyhow::Result<()> {
    let now = app.clock.now();
    let mut tx = scope.begin(&app.pool).await?;
    let own: Vec<String> = settings::own_addresses(&mut tx)
        .await?
        .iter()
        .map(|address| address_key(address))
        .collect();
    let meetings = book::events_between(&mut tx, now, now + AHEAD, MEETINGS).await?;
    let upcoming: Vec<NewEvent> = meetings
        .iter()
        .filter(|meeting| !meeting.all_day)
        .filter(|meeting| {
            let people = meeting.people();
            people.iter().any(|one| !own.contains(&address_key(one)))
        })
        .filter_map(|meeting| {
            let start = meeting.start.filter(|start| *start > now)?;
            let (id, at) = (meeting.id.to_string(), start.to_rfc3339());
            Some(NewEvent {
                name: "calendar.meeting.upcoming",
                // Moved to another time, it is upcoming again.
                key: ids::digest(&["calendar.meeting.upcoming", &id, &at]),
                item: Some((Kind::Event, meeting.id)),
                external_id: id,
                data: json!({}),
                occurred_at: now,
                past: false,
            })
        })
        .collect();
    let caused_by = json!({"kind": "clock", "id": null});
    events::append(app, &mut tx, &upcoming, &caused_by).await?;
    tx.commit().await?;
    Ok(())
}
