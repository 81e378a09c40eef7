//! The hash of an entry: SHA-256 over the one before it and the canonical JSON (RFC 8785) of its content.

use chrono::SecondsFormat;
use serde_json::json;
use uuid::Uuid;

use super::Entry;
use crate::ids;

/// What stands before the first.
pub(super) const BEGINNING: [u8; 32] = [0; 32];

/// None for content that has no canonical form, which nothing that was appended lacks.
pub(super) fn hash(before: &[u8], user_id: Uuid, entry: &Entry) -> Option<[u8; 32]> {
    let content = json!({
        "user_id": user_id, "place": entry.place, "id": entry.id,
        "at": entry.at.to_rfc3339_opts(SecondsFormat::Micros, true),
        "actor": entry.actor, "action": entry.action, "target": entry.target, "why": entry.why,
        "proposed": entry.proposed, "final": entry.done, "result": entry.result, "undo": entry.undo,
        "undoes": entry.undoes,
    });
    let content = serde_json_canonicalizer::to_string(&content).ok()?;
    Some(ids::digest(&[&hex::encode(before), &content]))
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn entry() -> Entry {
        Entry {
            place: 1,
            id: Uuid::from_u128(7),
            at: DateTime::from_timestamp_micros(1_700_000_000_123_456).unwrap(),
            actor: "user".to_owned(),
            action: "send_email".to_owned(),
            target: None,
            why: json!({"b": 1, "a": null}),
            proposed: None,
            done: None,
            result: None,
            undo: None,
            undoes: None,
            undone_by: None,
            hash: Vec::new(),
        }
    }

    #[test]
    fn every_part_counts() {
        let user_id = Uuid::from_u128(1);
        let first = hash(&BEGINNING, user_id, &entry()).unwrap();
        assert_eq!(hash(&BEGINNING, user_id, &entry()), Some(first));
        assert_ne!(hash(&first, user_id, &entry()), Some(first));
        assert_ne!(hash(&BEGINNING, Uuid::from_u128(2), &entry()), Some(first));
        let alter: [fn(&mut Entry); 6] = [
            |entry| entry.place = 2,
            |entry| entry.at += chrono::TimeDelta::microseconds(1),
            |entry| entry.action.push('s'),
            |entry| entry.target = Some(String::new()),
            |entry| entry.why = json!({"a": null}),
            |entry| entry.result = Some(json!(1)),
        ];
        for change in alter {
            let mut other = entry();
            change(&mut other);
            assert_ne!(hash(&BEGINNING, user_id, &other), Some(first));
        }
    }
}
