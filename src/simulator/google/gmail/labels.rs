//! Labels, the system's and the user's.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::super::access::Failure;
use super::mailbox::{Label, Mailbox, SYSTEM_LABELS};

pub fn list(mailbox: &Mailbox) -> Value {
    let system = SYSTEM_LABELS.iter().map(|id| system(id));
    let labels: Vec<Value> = system.chain(mailbox.labels.iter().map(user)).collect();
    json!({"labels": labels})
}

fn system(id: &str) -> Value {
    let mut label = json!({"id": id, "name": id, "type": "system"});
    // Only some say how they are shown.
    if id.starts_with("CATEGORY_") || id == "UNREAD" {
        label["messageListVisibility"] = json!("hide");
        label["labelListVisibility"] = json!("labelHide");
    }
    label
}

fn user(label: &Label) -> Value {
    json!({
        "id": label.id, "name": label.name, "type": "user",
        "labelListVisibility": label.list_visibility,
        "messageListVisibility": label.message_visibility,
    })
}

pub fn get(mailbox: &Mailbox, id: &str) -> Result<Value, Failure> {
    let mut value = match mailbox.labels.iter().find(|label| label.id == id) {
        Some(label) => user(label),
        None if SYSTEM_LABELS.contains(&id) => system(id),
        None => return Err(Failure::not_found()),
    };
    let (mut threads, mut unread_threads) = (HashSet::new(), HashSet::new());
    let (mut messages, mut unread) = (0, 0);
    for message in mailbox.messages.values() {
        if message.labels.contains(id) {
            messages += 1;
            threads.insert(message.thread);
            if message.labels.contains("UNREAD") {
                unread += 1;
                unread_threads.insert(message.thread);
            }
        }
    }
    value["messagesTotal"] = json!(messages);
    value["messagesUnread"] = json!(unread);
    value["threadsTotal"] = json!(threads.len());
    value["threadsUnread"] = json!(unread_threads.len());
    Ok(value)
}

pub fn create(mailbox: &mut Mailbox, body: &Value) -> Result<Value, Failure> {
    let name = body["name"].as_str().unwrap_or_default().trim().to_owned();
    if name.is_empty() {
        return Err(Failure::new(400, "invalidArgument", "Invalid label name"));
    }
    let same = |other: &str| other.eq_ignore_ascii_case(&name);
    if SYSTEM_LABELS.iter().any(|id| same(id)) {
        return Err(Failure::new(400, "invalidArgument", "Invalid label name"));
    }
    if mailbox.labels.iter().any(|label| same(&label.name)) {
        return Err(Failure::new(
            409,
            "aborted",
            "Label name exists or conflicts",
        ));
    }
    let id = mailbox.add_label(&name);
    let label = mailbox
        .labels
        .iter_mut()
        .find(|label| label.id == id)
        .ok_or_else(Failure::not_found)?;
    if let Some(text) = body["labelListVisibility"].as_str() {
        text.clone_into(&mut label.list_visibility);
    }
    if let Some(text) = body["messageListVisibility"].as_str() {
        text.clone_into(&mut label.message_visibility);
    }
    Ok(user(label))
}
