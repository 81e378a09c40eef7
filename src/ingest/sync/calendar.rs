//! The user's own calendar: the last two years and the next.

use chrono::{DateTime, NaiveTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Read, Source, Walk, ended};
use crate::html;
use crate::identity::connections::{Grant, Provider};
use crate::ingest::files::{Attendee, CalendarEvent, Item, Mailbox};
use crate::providers::google::calendar::{Event, Guest, Listing, PRIMARY, When};
use crate::state::App;
use crate::tasks::{Context, Failure, Handler, OrFailure as _, Payload};

const BACK: TimeDelta = TimeDelta::days(730);
const AHEAD: TimeDelta = TimeDelta::days(365);

/// "Read this user's calendar."
#[derive(Debug, Serialize, Deserialize)]
pub struct SyncCalendar {}

impl Payload for SyncCalendar {
    const KIND: &'static str = "sync_calendar";
}

impl Handler<App> for SyncCalendar {
    async fn run(self, context: Context<App>) -> Result<Value, Failure> {
        ended(walk(&context).await)
    }
}

async fn walk(context: &Context<App>) -> Result<Value, Failure> {
    let app = &context.app;
    let google = app
        .google
        .as_ref()
        .ok_or_else(|| anyhow::anyhow!("Google isn't configured"))
        .or_fail()?;
    let grant = Grant::new(app, context.scope, Provider::Google);
    // Whole days: a walk that goes on later must ask with the same bounds as it began.
    let today = app
        .clock
        .now()
        .date_naive()
        .and_time(NaiveTime::MIN)
        .and_utc();
    let window = Listing::Window {
        from: today - BACK,
        until: today + AHEAD,
    };
    let mut walk = Walk::begin(context, Source::Calendar, None).await?;
    loop {
        let events = google
            .calendar
            .list(&grant, PRIMARY, &window, walk.page.as_deref())
            .await;
        let events = walk.or_restart(events).await?;
        let events = grant.or_wait(context, events).await?;
        let zone = events.time_zone;
        let items = events
            .page
            .items
            .into_iter()
            .filter(|event| !event.is_cancelled())
            .map(|event| Item::Event(Box::new(converted(event, zone.as_deref()))))
            .collect();
        let read = Read {
            items,
            unreadable: events.page.unreadable.len(),
            next: events.page.next,
        };
        if !walk.store(read).await? {
            return Ok(walk.result());
        }
    }
}

fn instant(when: &When) -> Option<DateTime<Utc>> {
    match (when.date_time, when.date) {
        (Some(at), _) => Some(at.to_utc()),
        (None, Some(day)) => Some(day.and_time(NaiveTime::MIN).and_utc()),
        (None, None) => None,
    }
}

/// As a calendar file would have it.
fn converted(event: Event, zone: Option<&str>) -> CalendarEvent {
    let start = event.start.as_ref();
    let which = event.original_start_time.as_ref().and_then(instant);
    CalendarEvent {
        recurrence_id: which.map(|at| at.to_rfc3339()),
        title: event.summary.unwrap_or_default(),
        description: plain(event.description.unwrap_or_default()),
        location: event.location.unwrap_or_default(),
        start: start.and_then(instant),
        end: event.end.as_ref().and_then(instant),
        all_day: start.is_some_and(|start| start.date_time.is_none() && start.date.is_some()),
        start_date: start.and_then(|start| start.date),
        time_zone: start
            .and_then(|start| start.time_zone.clone())
            .or_else(|| zone.map(str::to_owned)),
        organiser: event.organizer.and_then(mailbox),
        attendees: event
            .attendees
            .into_iter()
            .filter_map(|guest| {
                let status = guest.response_status.clone();
                Some(Attendee {
                    mailbox: mailbox(guest)?,
                    status: status.map(|status| match status.as_str() {
                        "needsAction" => "needs-action".to_owned(),
                        other => other.to_lowercase(),
                    }),
                })
            })
            .collect(),
        status: event.status,
        recurrence: None,
        uid: event.ical_uid.unwrap_or(event.id),
    }
}

fn mailbox(guest: Guest) -> Option<Mailbox> {
    Some(Mailbox {
        name: guest.display_name,
        address: guest.email?,
    })
}

/// Google's own editor writes HTML, other programs plain text.
fn plain(text: String) -> String {
    let is_html = text.contains("</") || text.contains("<br") || text.contains("<p>");
    if is_html {
        html::html_to_text(&text)
    } else {
        text
    }
}
