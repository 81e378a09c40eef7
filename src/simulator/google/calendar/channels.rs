//! Channels: who is told that a calendar, or the list of them, changed.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use url::Url;

use super::super::State;
use super::super::access::{Call, Failure};
use super::diary;

const LONGEST_LIFE: TimeDelta = TimeDelta::days(7);

pub struct Channel {
    pub id: String,
    pub email: String,
    /// None is the list of calendars.
    pub calendar: Option<String>,
    pub resource_id: String,
    pub uri: String,
    pub token: Option<String>,
    pub address: Url,
    pub expires_at: DateTime<Utc>,
    pub number: u64,
    pub stopped: bool,
}

pub fn watch(
    state: &mut State,
    call: &Call,
    email: &str,
    calendar: Option<String>,
) -> Result<Value, Failure> {
    let body = call.json()?;
    let now = state.now();
    let refused = |status: u16, reason: &str, words: &str| Err(Failure::new(status, reason, words));
    let id = body["id"].as_str().unwrap_or_default().to_owned();
    let fine = |letter: char| letter.is_ascii_alphanumeric() || "-_+/=".contains(letter);
    if id.is_empty() {
        return refused(400, "required", "Required: entity.id");
    }
    if id.len() > 64 || !id.chars().all(fine) {
        return refused(400, "invalid", "Invalid channel id.");
    }
    if body["type"] != "web_hook" && body["type"] != "webhook" {
        return refused(400, "invalid", "Unknown channel type.");
    }
    if state.channels.contains_key(&id) {
        let words = format!("Channel id {id} not unique");
        return refused(400, "channelIdNotUnique", &words);
    }
    let token = body["token"].as_str().map(str::to_owned);
    if token.as_ref().is_some_and(|token| token.len() > 256) {
        return refused(400, "invalid", "The channel token is too long.");
    }
    let address = body["address"].as_str().unwrap_or_default();
    let not_https = || {
        let words = format!("WebHook callback must be HTTPS: {address}");
        Failure::new(400, "push.webhookUrlNotHttps", &words)
    };
    let url = Url::parse(address).map_err(|_| not_https())?;
    // Tests listen on this machine, without a certificate.
    let near = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    if url.scheme() != "https" && (state.switches.only_https || !near) {
        return Err(not_https());
    }
    let number = |value: &Value| value.as_i64().or_else(|| value.as_str()?.parse().ok());
    let asked = number(&body["params"]["ttl"])
        .and_then(TimeDelta::try_seconds)
        .or_else(|| {
            let end = DateTime::from_timestamp_millis(number(&body["expiration"])?)?;
            Some(end - now)
        });
    let life = asked.unwrap_or(LONGEST_LIFE).min(LONGEST_LIFE);
    if life <= TimeDelta::zero() {
        return refused(400, "invalid", "The expiration lies in the past.");
    }
    let expires_at = now + life;
    let uri = match &calendar {
        Some(key) => format!(
            "https://www.googleapis.com/calendar/v3/calendars/{}/events?alt=json",
            diary::address(email, key).replace('@', "%40")
        ),
        None => "https://www.googleapis.com/calendar/v3/users/me/calendarList?alt=json".to_owned(),
    };
    // The same for all channels of a resource.
    let name = calendar.as_deref().unwrap_or("list");
    let resource_id = crate::ids::derived(&["channel", email, name])
        .simple()
        .to_string();
    let mut reply = json!({
        "kind": "api#channel", "id": id, "resourceId": resource_id, "resourceUri": uri,
        "expiration": expires_at.timestamp_millis().to_string(),
    });
    if let Some(token) = &token {
        reply["token"] = json!(token);
    }
    state.channels.insert(
        id.clone(),
        Channel {
            id: id.clone(),
            email: email.to_owned(),
            calendar,
            resource_id,
            uri,
            token,
            address: url,
            expires_at,
            number: 0,
            stopped: false,
        },
    );
    state.notify_channel(&id, "sync");
    Ok(reply)
}

pub fn stop(state: &mut State, call: &Call, email: &str) -> Result<Value, Failure> {
    let body = call.json()?;
    let id = body["id"].as_str().unwrap_or_default().to_owned();
    let now = state.now();
    let channel = state
        .channels
        .get_mut(&id)
        .filter(|channel| channel.email == email && !channel.stopped && channel.expires_at > now)
        .filter(|channel| body["resourceId"] == channel.resource_id);
    match channel {
        Some(channel) => {
            channel.stopped = true;
            Ok(Value::Null)
        }
        None => {
            let words = format!("Channel '{id}' not found for project 'simulated'");
            Err(Failure::new(404, "notFound", &words))
        }
    }
}
