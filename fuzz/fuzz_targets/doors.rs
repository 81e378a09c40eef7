//! What comes in at the doors: webhooks of any body and header, tokens of any text, chat requests of any JSON.

use std::sync::OnceLock;

use jsonwebtoken::DecodingKey;
use paraplanner::chat::ChatBody;
use paraplanner::http::extract::parse_json;
use paraplanner::providers::google::identity;
use paraplanner::providers::hubspot::signature::{Header, Signed};
use paraplanner::webhooks::{hubspot_events, read_push};
use serde_json::Value;

const LONGEST_MESSAGE: usize = 32_000;

/// HubSpot's events: each has a portal that is a number and a kind, and what has no NUL can be stored.
pub fn hubspot(raw: &[u8]) {
    for (portal, delivery) in hubspot_events(raw, "hubspot_v3").into_iter().flatten() {
        assert!(portal.bytes().all(|byte| byte.is_ascii_digit()));
        assert!(!delivery.kind.is_empty());
        assert!(!holds_nul(&delivery.content), "{}", delivery.content);
    }
}

fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(holds_nul),
        Value::Object(fields) => fields
            .iter()
            .any(|(name, inner)| name.contains('\0') || holds_nul(inner)),
        _ => false,
    }
}

/// A request's address, headers and body, parted by lines: nobody without the secret signs one.
pub fn signature(raw: &[u8]) {
    let mut parts = raw.splitn(4, |byte| *byte == b'\n');
    let mut text = || std::str::from_utf8(parts.next().unwrap_or_default()).ok();
    let (Some(uri), Some(signature), Some(timestamp)) = (text(), text(), text()) else {
        return;
    };
    let signed = Signed {
        method: "POST",
        uri,
        body: raw,
        v3: Header::Once(signature),
        timestamp: Header::Once(timestamp),
        legacy: Header::Once(signature),
        legacy_version: Header::Once("v1"),
    };
    let now = paraplanner::clock::Clock::default().system();
    assert!(
        signed
            .verify("a secret that nobody has", true, now)
            .is_err()
    );
    let old = Signed {
        v3: Header::Absent,
        ..signed
    };
    assert!(old.verify("a secret that nobody has", true, now).is_err());
}

/// Pub/Sub's envelope: a mailbox that can be stored.
pub fn push(raw: &[u8]) {
    if let Some(push) = read_push(raw) {
        assert!(!push.mailbox.contains('\0'));
        assert!(
            push.id
                .is_none_or(|id| !id.is_empty() && !id.contains('\0'))
        );
    }
}

/// A token: its header, its claims, and that none of it is Google's.
pub fn jwt(raw: &[u8]) {
    static KEY: OnceLock<DecodingKey> = OnceLock::new();
    let key = KEY.get_or_init(|| {
        // The modulus of a key that nobody has any more.
        let modulus = include_str!("modulus.txt").trim();
        DecodingKey::from_rsa_components(modulus, "AQAB").expect("a public key")
    });
    let text = String::from_utf8_lossy(raw);
    let _ = identity::key_id(&text);
    assert!(identity::judge(&text, "https://desk.example.com/push", key).is_err());
    let _ = serde_json::from_slice::<identity::Claims>(raw);
}

/// A chat request: a question that isn't empty and isn't endless, or an error with a field.
pub fn chat(raw: &[u8]) {
    if let Ok(body) = parse_json::<ChatBody>(raw, None)
        && let Ok(asked) = body.parse()
    {
        assert!(!asked.text.trim().is_empty() && !asked.text.contains('\0'));
        assert!(asked.text.chars().count() <= LONGEST_MESSAGE);
    }
}
