//! How HubSpot signs what it sends us.
//!
//! v3 is an HMAC over method, address, body and time. v1 and v2 are bare digests with the secret in
//! front: whoever sees one can append to the body and sign that too. They are looked at only where the
//! operator allows it and no v3 header is there. May not know: requests of our web framework.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// How old a signature may be, and how far ahead of our clock.
const TOLERANCE: TimeDelta = TimeDelta::minutes(5);

/// A header as it came: absent, once, or more often (or not as text), which is nobody's signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header<'a> {
    Absent,
    Once(&'a str),
    Odd,
}

impl<'a> Header<'a> {
    const fn once(self) -> Option<&'a str> {
        match self {
            Self::Once(value) => Some(value),
            Self::Absent | Self::Odd => None,
        }
    }
}

/// What of a request the signatures are about.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    pub method: &'a str,
    /// As HubSpot called it: our public address, the path and the query as they came.
    pub uri: &'a str,
    pub body: &'a [u8],
    /// `X-HubSpot-Signature-v3` and `X-HubSpot-Request-Timestamp`.
    pub v3: Header<'a>,
    pub timestamp: Header<'a>,
    /// `X-HubSpot-Signature` and `X-HubSpot-Signature-Version`.
    pub legacy: Header<'a>,
    pub legacy_version: Header<'a>,
}

/// Which signature held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    V1,
    V2,
    V3,
}

impl Version {
    pub const fn name(self) -> &'static str {
        match self {
            Self::V1 => "hubspot_v1",
            Self::V2 => "hubspot_v2",
            Self::V3 => "hubspot_v3",
        }
    }
}

impl Signed<'_> {
    /// Which signature holds at this time by the system's clock; else why none does, for the log.
    pub fn verify(
        &self,
        secret: &str,
        allow_legacy: bool,
        now: DateTime<Utc>,
    ) -> Result<Version, &'static str> {
        match self.v3 {
            Header::Odd => Err("the signature is there twice"),
            // Where it is, it alone decides.
            Header::Once(signature) => self.verify_v3(secret, signature, now),
            Header::Absent if !allow_legacy => Err("no signature of version 3"),
            Header::Absent => self.verify_legacy(secret),
        }
    }

    fn verify_v3(
        &self,
        secret: &str,
        signature: &str,
        now: DateTime<Utc>,
    ) -> Result<Version, &'static str> {
        let timestamp = self.timestamp.once().ok_or("no timestamp, or two")?;
        let is_digits = (1..=15).contains(&timestamp.len())
            && timestamp.bytes().all(|byte| byte.is_ascii_digit());
        let at = timestamp
            .parse()
            .ok()
            .filter(|_| is_digits)
            .and_then(DateTime::from_timestamp_millis)
            .ok_or("the timestamp is no number of milliseconds")?;
        if (now - at).abs() > TOLERANCE {
            return Err("the timestamp is too old or too new");
        }
        let signature = STANDARD
            .decode(signature)
            .map_err(|_| "the signature isn't base64")?;
        let decoded = decoded(self.uri);
        // A proxy in front may have decoded it already, or HubSpot may not have.
        let holds = [decoded.as_ref(), self.uri].iter().any(|uri| {
            Hmac::<Sha256>::new_from_slice(secret.as_bytes()).is_ok_and(|mut mac| {
                mac.update(self.method.as_bytes());
                mac.update(uri.as_bytes());
                mac.update(self.body);
                mac.update(timestamp.as_bytes());
                mac.verify_slice(&signature).is_ok()
            })
        });
        if holds {
            Ok(Version::V3)
        } else {
            Err("the signature doesn't fit")
        }
    }

    fn verify_legacy(&self, secret: &str) -> Result<Version, &'static str> {
        let signature = self
            .legacy
            .once()
            .and_then(|hex| hex::decode(hex).ok())
            .ok_or("no signature, or two, or no hexadecimal one")?;
        // What a length extension appends is seldom text.
        if std::str::from_utf8(self.body).is_err() {
            return Err("the body isn't text");
        }
        let version = match self.legacy_version {
            Header::Once("v1") | Header::Absent => Version::V1,
            Header::Once("v2") => Version::V2,
            _ => return Err("no such version of signature"),
        };
        let mut hasher = Sha256::new();
        hasher.update(secret);
        if version == Version::V2 {
            hasher.update(self.method);
            hasher.update(self.uri);
        }
        hasher.update(self.body);
        if bool::from(hasher.finalize().as_slice().ct_eq(&signature)) {
            Ok(version)
        } else {
            Err("the signature doesn't fit")
        }
    }
}

/// An address as it enters a v3 signature: a dozen escapes are decoded, in one pass, and no others.
fn decoded(uri: &str) -> Cow<'_, str> {
    if !uri.contains('%') {
        return Cow::Borrowed(uri);
    }
    let mut text = String::with_capacity(uri.len());
    let mut rest = uri;
    while let Some(at) = rest.find('%') {
        text.push_str(&rest[..at]);
        let escape = rest.get(at + 1..at + 3).unwrap_or_default();
        let plain = match escape.to_ascii_uppercase().as_str() {
            "3A" => Some(':'),
            "2F" => Some('/'),
            "3F" => Some('?'),
            "40" => Some('@'),
            "21" => Some('!'),
            "24" => Some('$'),
            "27" => Some('\''),
            "28" => Some('('),
            "29" => Some(')'),
            "2A" => Some('*'),
            "2C" => Some(','),
            "3B" => Some(';'),
            _ => None,
        };
        if let Some(plain) = plain {
            text.push(plain);
            rest = &rest[at + 3..];
        } else {
            text.push('%');
            rest = &rest[at + 1..];
        }
    }
    text.push_str(rest);
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECRET: &str = "3f2b8c1e-5d7a-4c90-9e21-aa17b0c4d5e6";
    const URI: &str = "https://advisor.example.com/api/webhooks/hubspot";
    const TIMESTAMP: &str = "1767225600123";
    const A: &str = r#"[{"eventId":100,"subscriptionId":321,"portalId":4242,"appId":777,"occurredAt":1767225600000,"subscriptionType":"contact.creation","attemptNumber":0,"objectId":51,"changeFlag":"NEW","changeSource":"CRM_UI"}]"#;
    const B: &str = "{\"note\":\"Zoë said “hi” €5\",\"n\":1}";
    const V3_A: &str = "1+2sMddVjBHyJerMFVX/kNyU6GahJ9OqbhkPs+4aEyQ=";

    fn v3<'a>(method: &'a str, uri: &'a str, body: &'a str, signature: &'a str) -> Signed<'a> {
        Signed {
            method,
            uri,
            body: body.as_bytes(),
            v3: Header::Once(signature),
            timestamp: Header::Once(TIMESTAMP),
            legacy: Header::Absent,
            legacy_version: Header::Absent,
        }
    }

    fn legacy<'a>(
        version: &'a str,
        method: &'a str,
        body: &'a str,
        signature: &'a str,
    ) -> Signed<'a> {
        Signed {
            v3: Header::Absent,
            timestamp: Header::Absent,
            legacy: Header::Once(signature),
            legacy_version: Header::Once(version),
            ..v3(method, URI, body, "")
        }
    }

    fn at(millis: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(millis).unwrap()
    }

    #[test]
    fn version_3_holds_for_what_hubspot_signs() {
        let queried = format!("{URI}?tag=a%3Ab%2Fc&who=x%40y.z&sp=a%20b&pct=5%25");
        let cases = [
            ("POST", URI, A, V3_A),
            (
                "POST",
                URI,
                B,
                "9G8v9vlj4dBgV05lmVPOzie9hBlRCrEdBPc87lAQIjA=",
            ),
            (
                "GET",
                URI,
                "",
                "gPtSh73V/ImKiYXHc1Q27no7TEHbSh61Vn3xTMnnE+A=",
            ),
            (
                "POST",
                &queried,
                A,
                "7lbo8acTN0pTcJzlhC1YvGH9KExQ3MxgI/iX/BMeamk=",
            ),
        ];
        for (method, uri, body, signature) in cases {
            let signed = v3(method, uri, body, signature);
            assert_eq!(
                signed.verify(SECRET, false, at(1_767_225_600_500)),
                Ok(Version::V3)
            );
        }
        let published = Signed {
            timestamp: Header::Once("1693657560000"),
            ..v3(
                "POST",
                "https://www.example.com/webhook_uri",
                "{'example_field':'example_value'}",
                "K36dawei4A+QBNolUOqo7s91KQDWQ5MXZ/QufNYuk/Y=",
            )
        };
        let secret = "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy";
        assert_eq!(
            published.verify(secret, false, at(1_693_657_560_000)),
            Ok(Version::V3)
        );
    }

    #[test]
    fn version_3_is_refused_when_anything_differs() {
        let now = at(1_767_225_600_500);
        let good = v3("POST", URI, A, V3_A);
        let other_uri = format!("{URI}/");
        let other_body = A.replace("51", "52");
        let cases = [
            Signed {
                method: "PUT",
                ..good
            },
            Signed {
                uri: &other_uri,
                ..good
            },
            Signed {
                body: other_body.as_bytes(),
                ..good
            },
            Signed {
                timestamp: Header::Once("1767225600124"),
                ..good
            },
            Signed {
                timestamp: Header::Once("+1767225600123"),
                ..good
            },
            Signed {
                timestamp: Header::Absent,
                ..good
            },
            Signed {
                timestamp: Header::Odd,
                ..good
            },
            Signed {
                v3: Header::Odd,
                ..good
            },
            Signed {
                v3: Header::Once(""),
                ..good
            },
            Signed {
                v3: Header::Once("1 2sMddVjBHyJerMFVX/kNyU6GahJ9OqbhkPs aEyQ="),
                ..good
            },
        ];
        for case in cases {
            assert!(case.verify(SECRET, true, now).is_err(), "{case:?}");
        }
        assert!(good.verify("another", false, now).is_err());
        for seconds in [-301, 301] {
            assert!(
                good.verify(SECRET, false, now + TimeDelta::seconds(seconds))
                    .is_err()
            );
        }
    }

    #[test]
    fn older_versions_hold_only_where_allowed_and_alone() {
        let now = at(1_767_225_600_500);
        let cases = [
            (
                "v1",
                "POST",
                A,
                "01e0c55911699093e2266100fdc868b8a9419278c29787f0cd29b61e6badaa8f",
            ),
            (
                "v1",
                "POST",
                B,
                "8ae7cc61b4495d2652c261fc05a7680d5de29d16673ad76a71d41b86625efd9a",
            ),
            (
                "v2",
                "POST",
                A,
                "0b94c8ceefb568c46ae4cf0195256150116277c7abcf5c4ca79cb06e6cd63a1e",
            ),
            (
                "v2",
                "POST",
                B,
                "7b5e8f3ea57f384af4539ae53536c4047a818e5eeebdccb93671b919aefee2c0",
            ),
            (
                "v2",
                "GET",
                "",
                "889723b2711f9a02c560ddaa6da754ca3c64c595797e954b4e6fb24a5b87f913",
            ),
        ];
        for (version, method, body, signature) in cases {
            let signed = legacy(version, method, body, signature);
            assert!(signed.verify(SECRET, true, now).is_ok(), "{signed:?}");
            assert!(signed.verify(SECRET, false, now).is_err());
            let beside = Signed {
                v3: Header::Once("AAAA"),
                timestamp: Header::Once(TIMESTAMP),
                ..signed
            };
            assert!(
                beside.verify(SECRET, true, now).is_err(),
                "a bad version 3 decides"
            );
        }
    }

    #[test]
    fn only_the_escapes_that_hubspot_names_are_decoded_and_once() {
        assert_eq!(decoded("/a%3ab%2Fc%2520%"), "/a:b/c%2520%");
        assert_eq!(decoded("/é%3"), "/é%3");
    }

    proptest! {
        #[test]
        fn nothing_breaks_it(uri in ".*", body: Vec<u8>, signature in ".*", timestamp in "[0-9]{0,20}", version in ".{0,3}") {
            let signed = Signed {
                method: "POST", uri: &uri, body: &body, v3: Header::Once(&signature),
                timestamp: Header::Once(&timestamp), legacy: Header::Once(&signature),
                legacy_version: Header::Once(&version),
            };
            let now = at(1_767_225_600_500);
            prop_assert!(signed.verify(SECRET, true, now).is_err());
            let older = Signed { v3: Header::Absent, ..signed };
            prop_assert!(older.verify(SECRET, true, now).is_err());
        }
    }
}
