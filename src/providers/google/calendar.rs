//! Google Calendar: events and what changed in them, busy times, and booking.
//!
//! An event of ours is made under an id of ours, so that making it twice is one event. Never told to
//! guests unless the caller says so. Quota: 600 requests a minute and user.

use chrono::{DateTime, NaiveDate, Utc};
use reqwest::Method;
use reqwest::header::IF_MATCH;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

use super::error;
use crate::providers::caller::{Call, Caller, Credentials, Pace};
use crate::providers::wire::{self, Page};
use crate::providers::{Error, Kind};
use crate::telemetry::Metrics;

const PAGE: u32 = 2500;
/// More aren't answered in one query.
const MOST_CALENDARS: usize = 50;

/// The user's own calendar.
pub const PRIMARY: &str = "primary";

/// The way to Calendar; cheap to clone.
#[derive(Clone)]
pub struct Calendar {
    caller: Caller,
    api: Url,
}

/// Which events a listing begins with.
#[derive(Clone, Debug)]
pub enum Listing {
    /// Single events of a window: whatever ends after `from` and begins before `until`.
    Window {
        from: DateTime<Utc>,
        until: DateTime<Utc>,
    },
    /// What changed since a listing; cancelled ones included.
    Since { sync_token: String },
}

/// A page of events.
#[derive(Debug)]
pub struct Events {
    pub page: Page<Event>,
    /// On the last page only: where to go on the next time.
    pub sync_token: Option<String>,
    /// The calendar's, as an IANA name.
    pub time_zone: Option<String>,
}

/// When something begins or ends; ends are exclusive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct When {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date_time: Option<DateTime<chrono::FixedOffset>>,
    /// A day as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<NaiveDate>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
}

/// Somebody invited, or the one who invites.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Guest {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// `needsAction`, `declined`, `tentative`, `accepted`, or a later invention.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_status: Option<String>,
    /// The user.
    #[serde(default, rename = "self", skip_serializing_if = "std::ops::Not::not")]
    pub is_self: bool,
}

/// An event as Google has it; nothing but the id is sure to be there.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    #[serde(deserialize_with = "wire::text")]
    pub id: String,
    #[serde(default)]
    pub etag: Option<String>,
    #[serde(default)]
    pub status: Option<String>,
    #[serde(default)]
    pub summary: Option<String>,
    /// May be HTML.
    #[serde(default)]
    pub description: Option<String>,
    #[serde(default)]
    pub location: Option<String>,
    #[serde(default)]
    pub start: Option<When>,
    #[serde(default)]
    pub end: Option<When>,
    #[serde(default)]
    pub organizer: Option<Guest>,
    #[serde(default)]
    pub attendees: Vec<Guest>,
    /// The series that it is an instance of.
    #[serde(default)]
    pub recurring_event_id: Option<String>,
    #[serde(default)]
    pub original_start_time: Option<When>,
    /// The same in all guests' calendars.
    #[serde(default, rename = "iCalUID")]
    pub ical_uid: Option<String>,
    #[serde(default)]
    pub updated: Option<DateTime<Utc>>,
    #[serde(default)]
    pub html_link: Option<String>,
    #[serde(default)]
    pub hangout_link: Option<String>,
    /// `transparent` takes no time.
    #[serde(default)]
    pub transparency: Option<String>,
    #[serde(default)]
    pub event_type: Option<String>,
}

impl Event {
    /// Gone, or an instance that doesn't take place.
    pub fn is_cancelled(&self) -> bool {
        self.status.as_deref() == Some("cancelled")
    }
}

/// Who is told of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tell {
    All,
    ExternalOnly,
    Nobody,
}

impl Tell {
    const fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::ExternalOnly => "externalOnly",
            Self::Nobody => "none",
        }
    }
}

/// An event to be made.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewEvent {
    /// Ours: 5 to 1,024 of `a`–`v` and `0`–`9`; makes a second making harmless.
    pub id: String,
    pub summary: String,
    pub description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    pub start: When,
    pub end: When,
    pub attendees: Vec<Guest>,
}

/// What an insertion came to.
#[derive(Debug)]
pub enum Inserted {
    New(Box<Event>),
    /// The id is taken: by an earlier try, or by what was deleted since.
    Before(Box<Event>),
}

/// From and until; the end is exclusive.
pub type Span = (DateTime<Utc>, DateTime<Utc>);

/// When somebody is busy.
#[derive(Debug)]
pub struct Busy {
    pub calendar: String,
    /// `Err` with Google's word when the calendar can't be read: that isn't free.
    pub times: Result<Vec<Span>, String>,
}

/// A promise of notifications.
#[derive(Debug)]
pub struct Channel {
    pub resource_id: String,
    pub expires_at: DateTime<Utc>,
}

impl Calendar {
    pub fn new(http: reqwest::Client, metrics: Metrics, api: Url, pace: Pace) -> Self {
        Self {
            caller: Caller::new(http, metrics, "calendar", pace, error::read),
            api,
        }
    }

    fn at(&self, path: &[&str]) -> Url {
        crate::providers::below(&self.api, &["calendar", "v3"], path)
    }

    fn request(&self, method: Method, path: &[&str]) -> reqwest::RequestBuilder {
        self.caller.http.request(method, self.at(path))
    }

    /// A page of a calendar's events; it may be empty and not the last. `Gone` when the sync token is dead: list the window anew.
    pub async fn list(
        &self,
        user: &dyn Credentials,
        calendar: &str,
        listing: &Listing,
        page: Option<&str>,
    ) -> Result<Events, Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Reply {
            #[serde(default, deserialize_with = "wire::list")]
            items: Vec<Value>,
            #[serde(default)]
            next_page_token: Option<String>,
            #[serde(default)]
            next_sync_token: Option<String>,
            #[serde(default)]
            time_zone: Option<String>,
        }
        let mut request = self
            .request(Method::GET, &["calendars", calendar, "events"])
            .query(&[
                ("maxResults", PAGE.to_string().as_str()),
                ("singleEvents", "true"),
            ]);
        request = match listing {
            Listing::Window { from, until } => request.query(&[
                ("timeMin", from.to_rfc3339()),
                ("timeMax", until.to_rfc3339()),
            ]),
            Listing::Since { sync_token } => request.query(&[("syncToken", sync_token)]),
        };
        if let Some(page) = page {
            request = request.query(&[("pageToken", page)]);
        }
        let call = Call::read("events.list", 1, request);
        let reply: Reply = self.caller.send(user, call).await?.json()?;
        Ok(Events {
            page: Page::of(reply.items, reply.next_page_token),
            sync_token: reply.next_sync_token,
            time_zone: reply.time_zone,
        })
    }

    /// One event; cancelled ones too while they last.
    pub async fn event(
        &self,
        user: &dyn Credentials,
        calendar: &str,
        id: &str,
    ) -> Result<Event, Error> {
        let request = self.request(Method::GET, &["calendars", calendar, "events", id]);
        let call = Call::read("events.get", 1, request);
        self.caller.send(user, call).await?.json()
    }

    /// Makes an event under its own id, once however often it is tried.
    pub async fn insert(
        &self,
        user: &dyn Credentials,
        calendar: &str,
        event: &NewEvent,
        tell: Tell,
    ) -> Result<Inserted, Error> {
        let request = self
            .request(Method::POST, &["calendars", calendar, "events"])
            .query(&[("sendUpdates", tell.name())])
            .json(event);
        let call = Call::act("events.insert", 0, request).repeatable();
        match self.caller.send(user, call).await {
            Ok(reply) => Ok(Inserted::New(Box::new(reply.json()?))),
            Err(error) if error.kind == Kind::Conflict => {
                let before = self.event(user, calendar, &event.id).await?;
                Ok(Inserted::Before(Box::new(before)))
            }
            Err(error) => Err(error),
        }
    }

    /// Changes fields of an event, if it is still the one of this `etag` (`Conflict` otherwise).
    /// Lists such as the guests are replaced as a whole.
    pub async fn patch(
        &self,
        user: &dyn Credentials,
        calendar: &str,
        (id, etag): (&str, &str),
        fields: &Value,
        tell: Tell,
    ) -> Result<Event, Error> {
        let request = self
            .request(Method::PATCH, &["calendars", calendar, "events", id])
            .query(&[("sendUpdates", tell.name())])
            .header(IF_MATCH, etag)
            .json(fields);
        let call = Call::act("events.patch", 0, request);
        self.caller.send(user, call).await?.json()
    }

    /// Deletes an event; fine when it is gone.
    pub async fn delete(
        &self,
        user: &dyn Credentials,
        calendar: &str,
        id: &str,
        tell: Tell,
    ) -> Result<(), Error> {
        let request = self
            .request(Method::DELETE, &["calendars", calendar, "events", id])
            .query(&[("sendUpdates", tell.name())]);
        let call = Call::act("events.delete", 0, request)
            .repeatable()
            .also(&[404, 410]);
        self.caller.send(user, call).await.map(drop)
    }

    /// When these calendars are busy. One that can't be read says so for itself.
    pub async fn busy(
        &self,
        user: &dyn Credentials,
        calendars: &[String],
        from: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<Vec<Busy>, Error> {
        let mut found = Vec::with_capacity(calendars.len());
        for some in calendars.chunks(MOST_CALENDARS) {
            let items: Vec<Value> = some.iter().map(|id| json!({"id": id})).collect();
            let request = self.request(Method::POST, &["freeBusy"]).json(&json!({
                "timeMin": from.to_rfc3339(), "timeMax": until.to_rfc3339(), "items": items,
            }));
            let call = Call::read("freebusy.query", 1, request);
            let reply: Value = self.caller.send(user, call).await?.json()?;
            found.extend(some.iter().map(|id| Busy {
                calendar: id.clone(),
                times: busy_times(&reply["calendars"][id]),
            }));
        }
        Ok(found)
    }

    /// Asks for notifications to `address`. The first may arrive before the reply to this.
    pub async fn watch(
        &self,
        user: &dyn Credentials,
        calendar: &str,
        channel: &NewChannel<'_>,
    ) -> Result<Channel, Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Reply {
            #[serde(deserialize_with = "wire::text")]
            resource_id: String,
            #[serde(default, deserialize_with = "wire::opt_number")]
            expiration: Option<i64>,
        }
        let request = self
            .request(Method::POST, &["calendars", calendar, "events", "watch"])
            .json(&json!({
                "id": channel.id, "type": "web_hook", "address": channel.address,
                "token": channel.token, "params": {"ttl": "604800"},
            }));
        let call = Call::act("events.watch", 0, request);
        let reply: Reply = self.caller.send(user, call).await?.json()?;
        let expires_at = reply
            .expiration
            .and_then(DateTime::from_timestamp_millis)
            .ok_or_else(|| Error::new(Kind::Nonsense, "a channel without an end"))?;
        Ok(Channel {
            resource_id: reply.resource_id,
            expires_at,
        })
    }

    /// Ends a channel; fine when it has ended.
    pub async fn stop(
        &self,
        user: &dyn Credentials,
        channel_id: &str,
        resource_id: &str,
    ) -> Result<(), Error> {
        let request = self
            .request(Method::POST, &["channels", "stop"])
            .json(&json!({"id": channel_id, "resourceId": resource_id}));
        let call = Call::act("channels.stop", 0, request)
            .repeatable()
            .also(&[404]);
        self.caller.send(user, call).await.map(drop)
    }
}

/// A channel to be opened.
#[derive(Debug)]
pub struct NewChannel<'a> {
    /// New for each channel, of at most 64 characters.
    pub id: &'a str,
    /// Where notifications go.
    pub address: &'a Url,
    /// What proves that they are Google's; of at most 256 characters.
    pub token: &'a str,
}

fn busy_times(calendar: &Value) -> Result<Vec<Span>, String> {
    if let Some(error) = calendar["errors"].get(0) {
        return Err(error["reason"].as_str().unwrap_or("unknown").to_owned());
    }
    let Some(busy) = calendar["busy"].as_array() else {
        return Err("missing".to_owned());
    };
    let time = |value: &Value| {
        let text = value.as_str()?;
        Some(DateTime::parse_from_rfc3339(text).ok()?.to_utc())
    };
    busy.iter()
        .map(|span| {
            time(&span["start"])
                .zip(time(&span["end"]))
                .ok_or_else(|| "unreadable".to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unreadable_calendar_is_not_free() {
        let free = json!({"busy": []});
        assert_eq!(busy_times(&free), Ok(vec![]));
        let hidden = json!({"errors": [{"reason": "notFound"}], "busy": []});
        assert_eq!(busy_times(&hidden), Err("notFound".to_owned()));
        assert!(busy_times(&Value::Null).is_err());
        assert!(busy_times(&json!({"busy": [{"start": "soon", "end": "late"}]})).is_err());
    }
}
