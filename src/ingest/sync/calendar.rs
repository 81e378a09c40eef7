//! The user's own calendar: the last two years and the next, series as their single events.

use std::sync::Arc;

use chrono::{DateTime, NaiveTime, TimeDelta, Utc};

use super::feed::{Entry, Page, Walk, What};
use super::gmail::nameless;
use crate::db::UserScope;
use crate::html;
use crate::identity::connections::{Grant, Provider};
use crate::ingest::files::{Attendee, CalendarEvent, Item, Mailbox};
use crate::providers::Error;
use crate::providers::google::Google;
use crate::providers::google::calendar::{Event, Events, Guest, Listing, PRIMARY, When};
use crate::state::App;

const BACK: TimeDelta = TimeDelta::days(730);
const AHEAD: TimeDelta = TimeDelta::days(365);

/// From and until when a walk that began then lists. Whole days: a walk that goes on later must ask
/// with the same bounds as it began.
pub(super) fn window(started_at: DateTime<Utc>) -> (DateTime<Utc>, DateTime<Utc>) {
    let day = started_at.date_naive().and_time(NaiveTime::MIN).and_utc();
    (day - BACK, day + AHEAD)
}

/// A user's calendar.
pub(super) struct Diary {
    google: Arc<Google>,
    pub grant: Grant,
}

impl Diary {
    pub fn new(app: &App, google: Arc<Google>, scope: UserScope) -> Self {
        Self {
            google,
            grant: Grant::new(app, scope, Provider::Google),
        }
    }

    async fn page(&self, listing: &Listing, page: Option<&str>) -> Result<Page, Error> {
        let calendar = &self.google.calendar;
        let events = calendar.list(&self.grant, PRIMARY, listing, page).await?;
        Ok(entries(events))
    }

    pub async fn list(&self, walk: Walk, page: Option<&str>) -> Result<Page, Error> {
        let (from, until) = window(walk.started_at);
        self.page(&Listing::Window { from, until }, page).await
    }

    pub async fn changed(&self, cursor: &str, page: Option<&str>) -> Result<Page, Error> {
        let listing = Listing::Since {
            sync_token: cursor.to_owned(),
        };
        self.page(&listing, page).await
    }
}

fn entries(events: Events) -> Page {
    let zone = events.time_zone;
    let read = events.page.items.into_iter().map(|event| {
        let (id, at) = (event.id.clone(), event.updated);
        let what = if event.is_cancelled() {
            What::Gone
        } else {
            What::Item(Item::Event(Box::new(converted(event, zone.as_deref()))))
        };
        // Google says when it was changed last; what isn't known yet was made then, or moved near.
        Entry::new(id, at, what).born("calendar.event.created", at)
    });
    Page {
        entries: read.chain(nameless(events.page.unreadable)).collect(),
        cursor: events.sync_token,
        next: events.page.next,
        zone,
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
        key: None,
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
