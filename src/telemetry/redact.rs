//! The net under everything that leaves: addresses, tokens and what stands in quotation marks.
//!
//! It is a net, not the rope: what is logged names its fields and holds ids, not content. But an error
//! of a library may quote what it choked on, and nobody reads all of them beforehand.

use std::borrow::Cow;
use std::sync::Arc;

use hmac::{Hmac, KeyInit as _, Mac as _};
use regex::{Captures, Regex};
use sha2::Sha256;

use crate::secret::Secret;

/// Of a text of an error that leaves the machine.
const LONGEST: usize = 400;

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct Redactor(Arc<Patterns>);

#[derive(Debug)]
struct Patterns {
    key: Secret<Vec<u8>>,
    login: Regex,
    token: Regex,
    word: Regex,
    address: Regex,
    quoted: Regex,
    digits: Regex,
}

impl Redactor {
    /// Addresses become a hash under this key: the same address is the same hash, and nobody without the
    /// key can try addresses out.
    pub fn new(key: Secret<Vec<u8>>) -> Self {
        let regex = |pattern: &str| Regex::new(pattern).expect("a sound pattern");
        Self(Arc::new(Patterns {
            key,
            login: regex(r"://[^/\s@]+@"),
            token: regex(
                r"(?i)\b(?:bearer|basic)\s+[a-z0-9._~+/=-]{6,}|\b(?:ppt_|ya29\.|1//|sk-|pat-|eyJ|GOCSPX-)[A-Za-z0-9._~+/=-]{6,}",
            ),
            // Longer runs are taken for a secret; an id of ours has 36 characters.
            word: regex(r"[A-Za-z0-9_-]{43,}"),
            address: regex(r"[\p{L}\p{N}._%+'-]+@[\p{L}\p{N}-]+(?:\.[\p{L}\p{N}-]+)*"),
            quoted: regex(r#""[^"]*"|'[^']*'|`[^`]*`|“[^”]*”|«[^»]*»"#),
            digits: regex(r"\d{6,}"),
        }))
    }

    /// A line of the log: without tokens, logins and addresses.
    pub fn line<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut text = Cow::Borrowed(text);
        let patterns = &*self.0;
        replace(&mut text, &patterns.login, |_| "://[login]@".to_owned());
        replace(&mut text, &patterns.token, |_| "[token]".to_owned());
        replace(&mut text, &patterns.word, |_| "[token]".to_owned());
        replace(&mut text, &patterns.address, |found| {
            self.address(&found[0])
        });
        text
    }

    /// Words that leave the machine: what is quoted and long numbers go, too, and not more than a few lines.
    pub fn words(&self, text: &str) -> String {
        let mut text = self.line(text);
        replace(&mut text, &self.0.quoted, |found| {
            let inner: &str = found[0].trim_matches(['"', '\'', '`']);
            // The name of a constraint or column, which is ours.
            let is_name = inner.contains('_')
                && inner
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            if is_name {
                found[0].to_owned()
            } else {
                "\"…\"".to_owned()
            }
        });
        replace(&mut text, &self.0.digits, |_| "#".to_owned());
        text.chars().take(LONGEST).collect()
    }

    fn address(&self, address: &str) -> String {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.0.key.expose()).expect("any length is a key");
        mac.update(address.to_lowercase().as_bytes());
        let hash = hex::encode(&mac.finalize().into_bytes()[..5]);
        format!("[address {hash}]")
    }
}

fn replace(text: &mut Cow<'_, str>, pattern: &Regex, with: impl Fn(&Captures<'_>) -> String) {
    if let Cow::Owned(changed) = pattern.replace_all(text, with) {
        *text = Cow::Owned(changed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor() -> Redactor {
        Redactor::new(Secret::new(b"a key of the tests".to_vec()))
    }

    #[test]
    fn ids_and_routes_stay() {
        for text in [
            "GET /api/emails/{id} answered 200",
            r#"{"request_id":"0198c0f2-5a6b-7c1d-8e2f-3a4b5c6d7e8f","elapsed_ms":12}"#,
            "src/http/middleware.rs:51",
            "the worker can't join the queue",
        ] {
            assert!(
                matches!(redactor().line(text), Cow::Borrowed(same) if same == text)
                    || redactor().line(text) == text
            );
        }
    }

    #[test]
    fn addresses_become_the_same_hash_everywhere() {
        let line = redactor()
            .line("from Sara@Example.com to sara@example.com, zoë@exämple.org")
            .into_owned();
        let hashes: Vec<&str> = line.split('[').skip(1).map(|part| &part[..18]).collect();
        assert_eq!(hashes[0], hashes[1]);
        assert_ne!(hashes[0], hashes[2]);
        assert!(!line.contains('@'), "{line}");
        let other = Redactor::new(Secret::new(b"another key".to_vec()));
        assert!(!other.line("sara@example.com").contains(hashes[0]));
    }

    #[test]
    fn tokens_and_logins_go() {
        for secret in [
            "Bearer abcdef123456",
            "ppt_0123456789abcdef",
            "ya29.a0AfH6SMBx",
            "eyJhbGciOi.eyJzdWIi",
            "postgres://app:hunter2@db.internal/app",
            "0123456789012345678901234567890123456789abcdef",
        ] {
            let line = redactor().line(secret).into_owned();
            for part in secret
                .split([' ', '/', ':', '@'])
                .filter(|part| part.len() > 5)
            {
                if !["postgres", "db.internal", "Bearer"].contains(&part) {
                    assert!(!line.contains(part), "{line}");
                }
            }
        }
    }

    #[test]
    fn what_leaves_holds_no_quotes_and_no_numbers_but_names_of_ours() {
        let said = redactor().words(
            "invalid input syntax for type uuid: \"Sara Smith\" of `+49 170 5550123`, account 12345678: \
             violates \"rules_text_key\"",
        );
        assert_eq!(
            said,
            "invalid input syntax for type uuid: \"…\" of \"…\", account #: violates \"rules_text_key\""
        );
        assert!(redactor().words(&"long ".repeat(500)).chars().count() <= LONGEST);
    }
}
