//! How HubSpot signs what it sends.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

/// Lower-case hex SHA-256 of secret and body.
pub(super) fn signature_v1(secret: &str, body: &[u8]) -> String {
    let mut hasher = Sha256::new();
    hasher.update(secret);
    hasher.update(body);
    hex::encode(hasher.finalize())
}

/// Base64 HMAC-SHA-256 over method, address, body and time.
pub(super) fn signature_v3(
    secret: &str,
    method: &str,
    uri: &str,
    body: &[u8],
    timestamp: &str,
) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length is a key");
    mac.update(method.as_bytes());
    mac.update(decoded(uri).as_bytes());
    mac.update(body);
    mac.update(timestamp.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

/// An address as it enters the signature: a few escapes are decoded, in one pass, and no others.
fn decoded(uri: &str) -> String {
    let uri = uri.split('#').next().unwrap_or_default();
    let mut parts = uri.split('%');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part.get(..2).unwrap_or_default().to_ascii_uppercase();
        let plain = match code.as_str() {
            "3A" => ':',
            "2F" => '/',
            "3F" => '?',
            "40" => '@',
            "21" => '!',
            "24" => '$',
            "27" => '\'',
            "28" => '(',
            "29" => ')',
            "2A" => '*',
            "2C" => ',',
            "3B" => ';',
            _ => {
                text.push('%');
                text.push_str(part);
                continue;
            }
        };
        text.push(plain);
        text.push_str(&part[2..]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "3f2b8c1e-5d7a-4c90-9e21-aa17b0c4d5e6";
    const URI: &str = "https://advisor.example.com/api/webhooks/hubspot";
    const AT: &str = "1767225600123";
    const A: &str = r#"[{"eventId":100,"subscriptionId":321,"portalId":4242,"appId":777,"occurredAt":1767225600000,"subscriptionType":"contact.creation","attemptNumber":0,"objectId":51,"changeFlag":"NEW","changeSource":"CRM_UI"}]"#;
    const B: &str = "{\"note\":\"Zoë said “hi” €5\",\"n\":1}";

    #[test]
    fn the_older_signature_is_the_vendors() {
        for (body, expected) in [
            (
                A,
                "01e0c55911699093e2266100fdc868b8a9419278c29787f0cd29b61e6badaa8f",
            ),
            (
                B,
                "8ae7cc61b4495d2652c261fc05a7680d5de29d16673ad76a71d41b86625efd9a",
            ),
        ] {
            assert_eq!(signature_v1(SECRET, body.as_bytes()), expected);
        }
    }

    #[test]
    fn the_newer_signature_is_the_vendors() {
        let query = "?tag=a%3Ab%2Fc&who=x%40y.z&sp=a%20b&pct=5%25";
        for (method, uri, body, expected) in [
            (
                "POST",
                URI.to_owned(),
                A,
                "1+2sMddVjBHyJerMFVX/kNyU6GahJ9OqbhkPs+4aEyQ=",
            ),
            (
                "POST",
                URI.to_owned(),
                B,
                "9G8v9vlj4dBgV05lmVPOzie9hBlRCrEdBPc87lAQIjA=",
            ),
            (
                "GET",
                URI.to_owned(),
                "",
                "gPtSh73V/ImKiYXHc1Q27no7TEHbSh61Vn3xTMnnE+A=",
            ),
            (
                "POST",
                format!("{URI}{query}"),
                A,
                "7lbo8acTN0pTcJzlhC1YvGH9KExQ3MxgI/iX/BMeamk=",
            ),
        ] {
            assert_eq!(
                signature_v3(SECRET, method, &uri, body.as_bytes(), AT),
                expected
            );
        }
        let published = signature_v3(
            "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy",
            "POST",
            "https://www.example.com/webhook_uri",
            b"{'example_field':'example_value'}",
            "1693657560000",
        );
        assert_eq!(published, "K36dawei4A+QBNolUOqo7s91KQDWQ5MXZ/QufNYuk/Y=");
    }

    #[test]
    fn only_some_escapes_are_decoded_and_only_once() {
        assert_eq!(decoded("a%2fb%2523%3a%20%"), "a/b%2523:%20%");
    }
}
