//! Appointments: made under an id of our own, so that a second making finds the first.

use anyhow::{Context as _, anyhow};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::action::{CancelEvent, CreateEvent, Span, UpdateEvent};
use super::{Found, Notes, Outward, SendError, send_error};
use crate::db::UserScope;
use crate::identity::connections::{Grant, Provider};
use crate::identity::settings::{self, SendUpdates};
use crate::providers::google::Google;
use crate::providers::google::calendar::{Event, Guest, Inserted, NewEvent, Tell, When};
use crate::providers::{Error, Kind};
use crate::state::App;

pub(super) const CALENDAR: &str = "primary";

/// The user's calendar.
struct Diary<'a> {
    google: &'a Google,
    grant: Grant,
}

impl<'a> Diary<'a> {
    fn open(app: &'a App, scope: UserScope) -> anyhow::Result<Self> {
        Ok(Self {
            google: app.google.as_deref().context("Google isn't configured")?,
            grant: Grant::new(app, scope, Provider::Google),
        })
    }
}

/// Which of these times are taken. What can't be read is an error, never free.
pub async fn taken(app: &App, scope: UserScope, spans: &[Span]) -> Result<Vec<Span>, Error> {
    let (Some(from), Some(until)) = (
        spans.iter().map(|span| span.start).min(),
        spans.iter().map(|span| span.end).max(),
    ) else {
        return Ok(Vec::new());
    };
    let busy = busy(app, scope, from, until).await?;
    let is_taken = |span: &&Span| {
        busy.iter()
            .any(|(start, end)| *start < span.end && span.start < *end)
    };
    Ok(spans.iter().filter(is_taken).copied().collect())
}

/// When the user is busy.
pub async fn busy(
    app: &App,
    scope: UserScope,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<Vec<(DateTime<Utc>, DateTime<Utc>)>, Error> {
    let diary = Diary::open(app, scope)
        .map_err(|error| Error::new(Kind::Unavailable, error.to_string()))?;
    let calendars = [CALENDAR.to_owned()];
    let found = diary
        .google
        .calendar
        .busy(&diary.grant, &calendars, from, until)
        .await?;
    let mut times = Vec::new();
    for busy in found {
        times.extend(busy.times.map_err(|word| {
            Error::new(
                Kind::Unavailable,
                format!("Google doesn't say when the calendar is free: {word}"),
            )
        })?);
    }
    Ok(times)
}

/// An appointment as Google has it now: who comes is told with a change of it, and its mark is what makes
/// a change of another's change impossible.
pub async fn appointment(app: &App, scope: UserScope, id: &str) -> Result<Event, Error> {
    let diary = Diary::open(app, scope)
        .map_err(|error| Error::new(Kind::Unavailable, error.to_string()))?;
    diary
        .google
        .calendar
        .event(&diary.grant, CALENDAR, id)
        .await
}

async fn told(app: &App, scope: UserScope) -> anyhow::Result<Tell> {
    let mut tx = scope.begin(&app.pool).await?;
    let settings = settings::find(&mut tx).await?;
    tx.commit().await?;
    Ok(match settings.send_updates {
        SendUpdates::All => Tell::All,
        SendUpdates::ExternalOnly => Tell::ExternalOnly,
        SendUpdates::None => Tell::Nobody,
    })
}

/// Only `0`–`9` and `a`–`f`: within what Google takes.
fn event_id(key: &str) -> String {
    hex::encode(Sha256::digest(key))
}

fn at(instant: DateTime<Utc>, zone: Option<&String>) -> When {
    When {
        date_time: Some(instant.fixed_offset()),
        date: None,
        time_zone: zone.cloned(),
    }
}

fn guests(addresses: &[String]) -> Vec<Guest> {
    addresses
        .iter()
        .map(|address| Guest {
            email: Some(address.clone()),
            ..Guest::default()
        })
        .collect()
}

fn shown(event: &Event) -> Value {
    json!({"event_id": event.id, "etag": event.etag, "url": event.html_link})
}

impl Outward<App> for CreateEvent {
    const ACTION: &'static str = "create_event";

    async fn send(&self, app: &App, key: &str, notes: &mut Notes) -> Result<Value, SendError> {
        let diary = Diary::open(app, notes.scope()).map_err(SendError::Refused)?;
        let tell = told(app, notes.scope())
            .await
            .map_err(|error| SendError::NotDone(error, None))?;
        let event = NewEvent {
            id: event_id(key),
            summary: self.title.clone(),
            description: self.description.clone(),
            location: self.location.clone(),
            start: at(self.start, self.time_zone.as_ref()),
            end: at(self.end, self.time_zone.as_ref()),
            attendees: guests(&self.attendees),
        };
        let inserted = diary
            .google
            .calendar
            .insert(&diary.grant, CALENDAR, &event, tell)
            .await
            .map_err(send_error)?;
        match inserted {
            Inserted::Before(event) if event.is_cancelled() => Err(SendError::Refused(anyhow!(
                "it was booked, and cancelled since"
            ))),
            Inserted::New(event) | Inserted::Before(event) => Ok(shown(&event)),
        }
    }

    async fn find(&self, app: &App, key: &str, notes: &Notes) -> anyhow::Result<Found> {
        let diary = Diary::open(app, notes.scope())?;
        let found = diary
            .google
            .calendar
            .event(&diary.grant, CALENDAR, &event_id(key))
            .await;
        match found {
            Ok(event) => Ok(Found::Done(shown(&event))),
            Err(error) if matches!(error.kind, Kind::NotFound | Kind::Gone) => Ok(Found::NotDone),
            Err(error) => Err(error.into()),
        }
    }
}

impl Outward<App> for UpdateEvent {
    const ACTION: &'static str = "update_event";

    async fn send(&self, app: &App, _: &str, notes: &mut Notes) -> Result<Value, SendError> {
        let diary = Diary::open(app, notes.scope()).map_err(SendError::Refused)?;
        let tell = told(app, notes.scope())
            .await
            .map_err(|error| SendError::NotDone(error, None))?;
        let mut fields = json!({});
        if let Some(title) = &self.title {
            fields["summary"] = json!(title);
        }
        if let Some(text) = &self.description {
            fields["description"] = json!(text);
        }
        if let (Some(start), Some(end)) = (self.start, self.end) {
            fields["start"] = json!(at(start, None));
            fields["end"] = json!(at(end, None));
        }
        let changed = diary
            .google
            .calendar
            .patch(
                &diary.grant,
                CALENDAR,
                (&self.event_id, &self.etag),
                &fields,
                tell,
            )
            .await
            .map_err(send_error)?;
        Ok(shown(&changed))
    }

    async fn find(&self, app: &App, _: &str, notes: &Notes) -> anyhow::Result<Found> {
        let diary = Diary::open(app, notes.scope())?;
        let event = diary
            .google
            .calendar
            .event(&diary.grant, CALENDAR, &self.event_id)
            .await?;
        if event.etag.as_deref() == Some(&self.etag) {
            return Ok(Found::NotDone);
        }
        let moved = |when: &Option<When>, wanted: Option<DateTime<Utc>>| {
            let is = when.as_ref().and_then(|when| when.date_time);
            wanted.is_none_or(|wanted| is.is_some_and(|is| is.to_utc() == wanted))
        };
        let same = |is: &Option<String>, wanted: &Option<String>| wanted.is_none() || is == wanted;
        let is_ours = moved(&event.start, self.start)
            && moved(&event.end, self.end)
            && same(&event.summary, &self.title)
            && same(&event.description, &self.description);
        Ok(if is_ours {
            Found::Done(shown(&event))
        } else {
            Found::CannotTell("The appointment was changed by somebody meanwhile.".to_owned())
        })
    }
}

impl Outward<App> for CancelEvent {
    const ACTION: &'static str = "cancel_event";

    async fn send(&self, app: &App, _: &str, notes: &mut Notes) -> Result<Value, SendError> {
        let diary = Diary::open(app, notes.scope()).map_err(SendError::Refused)?;
        let tell = told(app, notes.scope())
            .await
            .map_err(|error| SendError::NotDone(error, None))?;
        diary
            .google
            .calendar
            .delete(&diary.grant, CALENDAR, &self.event_id, tell)
            .await
            .map_err(send_error)?;
        Ok(json!({"event_id": self.event_id}))
    }

    async fn find(&self, _: &App, _: &str, _: &Notes) -> anyhow::Result<Found> {
        // Cancelling what is cancelled changes nothing and tells nobody.
        Ok(Found::NotDone)
    }
}
