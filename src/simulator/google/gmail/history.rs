//! What changed in a mailbox since an id that the reader remembers.

use serde_json::{Value, json};

use super::super::access::{Call, Failure};
use super::mailbox::{Change, Mailbox, What, text};

pub fn list(mailbox: &Mailbox, call: &Call) -> Result<Value, Failure> {
    let invalid = |name: &str| {
        Failure::parameter(
            name,
            "invalidArgument",
            &format!("Invalid value for {name}"),
        )
    };
    let start = call.one("startHistoryId").ok_or_else(|| {
        Failure::parameter(
            "startHistoryId",
            "required",
            "Required parameter: startHistoryId",
        )
    })?;
    let start: u64 = start.parse().map_err(|_| invalid("startHistoryId"))?;
    let size = call.size(100, 500)?;
    let after = match call.one("pageToken").filter(|token| !token.is_empty()) {
        Some(token) => token.parse().map_err(|_| invalid("pageToken"))?,
        None => start,
    };
    if start < mailbox.forgotten || start > mailbox.history_id() {
        return Err(Failure::not_found());
    }
    let types: Vec<&str> = call.all("historyTypes").collect();
    if types.iter().any(|kind| {
        ![
            "messageAdded",
            "messageDeleted",
            "labelAdded",
            "labelRemoved",
        ]
        .contains(kind)
    }) {
        return Err(invalid("historyTypes"));
    }
    let label = call.one("labelId");
    let from = mailbox.history.partition_point(|change| change.id <= after);
    let mut records = mailbox.history[from..]
        .iter()
        .filter(|change| types.is_empty() || types.contains(&kind(change)))
        .filter(|change| label.is_none_or(|label| concerns(change, label)));
    let page: Vec<&Change> = records.by_ref().take(size).collect();
    let mut reply = json!({"historyId": mailbox.history_id().to_string()});
    if records.next().is_some()
        && let Some(last) = page.last()
    {
        reply["nextPageToken"] = json!(last.id.to_string());
    }
    if !page.is_empty() {
        reply["history"] = page.iter().map(|change| record(change)).collect();
    }
    Ok(reply)
}

const fn kind(change: &Change) -> &'static str {
    match change.what {
        What::Added => "messageAdded",
        What::Deleted => "messageDeleted",
        What::LabelsAdded(_) => "labelAdded",
        What::LabelsRemoved(_) => "labelRemoved",
    }
}

fn concerns(change: &Change, label: &str) -> bool {
    let touched = match &change.what {
        What::LabelsAdded(labels) | What::LabelsRemoved(labels) => labels.as_slice(),
        _ => &[],
    };
    change
        .labels
        .iter()
        .chain(touched)
        .any(|other| other == label)
}

fn record(change: &Change) -> Value {
    let stub = json!({"id": text(change.message), "threadId": text(change.thread)});
    let mut message = stub.clone();
    if !change.labels.is_empty() {
        message["labelIds"] = json!(change.labels);
    }
    let mut record = json!({"id": change.id.to_string(), "messages": [stub]});
    match &change.what {
        What::Added => record["messagesAdded"] = json!([{"message": message}]),
        What::Deleted => record["messagesDeleted"] = json!([{"message": message}]),
        What::LabelsAdded(labels) => {
            record["labelsAdded"] = json!([{"message": message, "labelIds": labels}]);
        }
        What::LabelsRemoved(labels) => {
            record["labelsRemoved"] = json!([{"message": message, "labelIds": labels}]);
        }
    }
    record
}
