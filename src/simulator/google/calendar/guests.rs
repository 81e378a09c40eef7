//! Guests who have an account here: their copies of an event, their answers, and mail about it.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::super::State;
use super::super::gmail::{Letter, LetterAttachment};
use super::diary::is;
use super::events::{Notify, put};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

type Event = Map<String, Value>;

fn invited(event: &Event) -> Vec<String> {
    event
        .get("attendees")
        .and_then(Value::as_array)
        .map(|attendees| {
            attendees
                .iter()
                .filter_map(|attendee| Some(attendee["email"].as_str()?.to_ascii_lowercase()))
                .collect()
        })
        .unwrap_or_default()
}

/// Gives every guest a copy of the organizer's event, and takes it from who is no longer invited.
pub fn share(
    state: &mut State,
    organizer: &str,
    event: &Event,
    before: Option<&Event>,
    notify: Notify,
) {
    let guests = invited(event);
    let former = before.map(invited).unwrap_or_default();
    let id = event["id"].as_str().unwrap_or_default().to_owned();
    for guest in &guests {
        if guest.eq_ignore_ascii_case(organizer) {
            continue;
        }
        let known = state.accounts.contains_key(guest);
        if known {
            copy(state, guest, event);
        }
        let prefix = if former.contains(guest) {
            "Updated invitation"
        } else {
            "Invitation"
        };
        tell(state, organizer, guest, event, prefix, notify);
    }
    for guest in former.iter().filter(|guest| !guests.contains(guest)) {
        drop_copy(state, guest, &id);
        tell(state, organizer, guest, event, "Canceled event", notify);
    }
}

fn copy(state: &mut State, guest: &str, event: &Event) {
    let mut body = event.clone();
    // Private properties, reminders and colours are each calendar's own.
    let own = state
        .accounts
        .get(guest)
        .and_then(|account| account.diary.calendars.get("primary"))
        .and_then(|calendar| calendar.events.get(event["id"].as_str()?))
        .map(|stored| stored.body.clone())
        .unwrap_or_default();
    for name in ["extendedProperties", "reminders", "colorId", "transparency"] {
        match own.get(name) {
            Some(value) => body.insert(name.to_owned(), value.clone()),
            None => body.remove(name),
        };
    }
    if let Some(shared) = event
        .get("extendedProperties")
        .and_then(|properties| properties.get("shared"))
    {
        let private = own
            .get("extendedProperties")
            .and_then(|properties| properties.get("private"))
            .cloned();
        let mut properties = json!({"shared": shared});
        if let Some(private) = private {
            properties["private"] = private;
        }
        body.insert("extendedProperties".to_owned(), properties);
    }
    body.entry("reminders")
        .or_insert_with(|| json!({"useDefault": true}));
    for name in ["organizer", "creator"] {
        if let Some(person) = body.get_mut(name).and_then(Value::as_object_mut) {
            person.remove("self");
        }
    }
    if let Some(attendees) = body.get_mut("attendees").and_then(Value::as_array_mut) {
        for attendee in attendees {
            let own = attendee["email"]
                .as_str()
                .is_some_and(|email| email.eq_ignore_ascii_case(guest));
            if let Some(fields) = attendee.as_object_mut() {
                fields.remove("self");
                if own {
                    fields.insert("self".to_owned(), json!(true));
                }
            }
        }
    }
    let _ = put(state, guest, "primary", body, None);
}

fn drop_copy(state: &mut State, guest: &str, id: &str) {
    let copy = state
        .accounts
        .get(guest)
        .and_then(|account| account.diary.calendars.get("primary")?.events.get(id))
        .filter(|copy| !copy.cancelled())
        .map(|copy| copy.body.clone());
    if let Some(mut copy) = copy {
        copy.insert("status".to_owned(), json!("cancelled"));
        let _ = put(state, guest, "primary", copy, None);
    }
}

/// The organizer's event is gone, and so are the copies.
pub fn cancel(state: &mut State, organizer: &str, event: &Event, notify: Notify) {
    let id = event["id"].as_str().unwrap_or_default().to_owned();
    for guest in invited(event) {
        if guest.eq_ignore_ascii_case(organizer) {
            continue;
        }
        if is(event, "status", "cancelled") && event.contains_key("recurringEventId") {
            // The copy of an instance that was never touched isn't there yet.
            copy(state, &guest, event);
        } else {
            drop_copy(state, &guest, &id);
        }
        tell(state, organizer, &guest, event, "Canceled event", notify);
    }
}

/// A guest's answer, as their copy has it, reaches the organizer and the others.
pub fn respond(state: &mut State, guest: &str, event: &Event) {
    let answer = event
        .get("attendees")
        .and_then(Value::as_array)
        .and_then(|attendees| attendees.iter().find(|attendee| attendee["self"] == true))
        .and_then(|own| own["responseStatus"].as_str());
    if let Some(answer) = answer {
        answered(state, guest, event, answer);
    }
}

/// A guest has removed their copy.
pub fn decline(state: &mut State, guest: &str, event: &Event) {
    answered(state, guest, event, "declined");
}

fn answered(state: &mut State, guest: &str, event: &Event, answer: &str) {
    let organizer = event["organizer"]["email"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let id = event["id"].as_str().unwrap_or_default();
    let Ok(mut original) = super::events::get(state, &organizer, "primary", id) else {
        return;
    };
    let Some(attendees) = original.get_mut("attendees").and_then(Value::as_array_mut) else {
        return;
    };
    let mut changed = false;
    for attendee in attendees {
        let theirs = attendee["email"]
            .as_str()
            .is_some_and(|email| email.eq_ignore_ascii_case(guest));
        if theirs && attendee["responseStatus"] != answer {
            attendee["responseStatus"] = json!(answer);
            changed = true;
        }
    }
    if changed && let Ok(original) = put(state, &organizer, "primary", original, None) {
        let others: Vec<String> = invited(&original)
            .into_iter()
            .filter(|other| other != guest && *other != organizer)
            .filter(|other| state.accounts.contains_key(other))
            .collect();
        for other in others {
            copy(state, &other, &original);
        }
    }
}

/// Mail to a guest, when the change asks for it and the guest has a mailbox here.
fn tell(
    state: &mut State,
    organizer: &str,
    guest: &str,
    event: &Event,
    prefix: &str,
    notify: Notify,
) {
    let domain = |address: &str| {
        address
            .rsplit_once('@')
            .map(|(_, domain)| domain.to_owned())
    };
    let wanted = match notify {
        Notify::Everybody => true,
        Notify::Outsiders => domain(organizer) != domain(guest),
        Notify::Nobody => false,
    };
    if !wanted {
        return;
    }
    let now = state.now();
    let summary = event
        .get("summary")
        .and_then(Value::as_str)
        .unwrap_or("(No title)");
    let start = event["start"]["dateTime"]
        .as_str()
        .or_else(|| event["start"]["date"].as_str())
        .unwrap_or_default();
    let method = if prefix == "Canceled event" {
        "CANCEL"
    } else {
        "REQUEST"
    };
    let uid = event["iCalUID"].as_str().unwrap_or_default();
    let card = format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Google Inc//Google Calendar 70.9054//EN\r\n\
         METHOD:{method}\r\nBEGIN:VEVENT\r\nUID:{uid}\r\nORGANIZER:mailto:{organizer}\r\n\
         ATTENDEE;RSVP=TRUE:mailto:{guest}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    );
    let letter = Letter {
        from: format!("Google Calendar <{organizer}>"),
        to: vec![guest.to_owned()],
        subject: format!("{prefix}: {summary} @ {start} ({guest})"),
        text: format!("{prefix}\r\n\r\n{summary}\r\n{start}\r\n\r\nOrganizer: {organizer}\r\n"),
        attachments: vec![LetterAttachment {
            filename: "invite.ics".to_owned(),
            content_type: "application/ics".to_owned(),
            data: STANDARD.encode(card),
        }],
        ..Letter::default()
    };
    let raw: Arc<[u8]> = letter.write(now).into();
    if let Some(account) = state.accounts.get_mut(guest) {
        let labels = ["INBOX", "UNREAD"].map(str::to_owned);
        account.mailbox.add(raw, labels, now, None);
    }
}
