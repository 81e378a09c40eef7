//! Values in the database that a thief of the database can't read, nor move elsewhere in it.
//!
//! XChaCha20-Poly1305 under a random nonce. Stored as `version | length of key id | key id | nonce |
//! ciphertext and tag`; where the value stands (table, column, user, provider) is authenticated with
//! it, so a value that was copied into another row doesn't open. Several keys open, the first seals.

use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use rand::TryRngCore as _;
use rand::rngs::OsRng;
use sha2::Sha256;
use uuid::Uuid;

use super::Secret;

const VERSION: u8 = 1;
const NONCE: usize = 24;

/// A key of 256 bits.
pub type Key = Secret<[u8; 32]>;

/// Where a sealed value stands.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    pub table: &'a str,
    pub column: &'a str,
    /// Whose it is; the row's own id where it is nobody's.
    pub owner: Uuid,
    pub provider: &'a str,
}

impl Place<'_> {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(96);
        for part in [
            self.table.as_bytes(),
            self.column.as_bytes(),
            self.owner.as_bytes(),
            self.provider.as_bytes(),
        ] {
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part);
        }
        bytes
    }
}

/// A value that doesn't open: tampered with, moved, or sealed under a key that is gone.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a sealed value can't be opened")]
pub struct CannotOpen;

struct Named {
    id: String,
    cipher: XChaCha20Poly1305,
}

/// The keys in use; the first seals.
pub struct Keyring(Vec<Named>);

impl Keyring {
    /// `named` in their order, then the one that follows from the program's secret key, so that what
    /// was sealed before there were named keys still opens.
    pub fn new(named: &[(String, Key)], secret_key: &Secret<String>) -> Self {
        let derived = derive(secret_key, "seal tokens");
        // Another secret key is another key id: what it sealed is told apart from what was tampered with.
        let id = format!(
            "k{}",
            hex::encode(&derive(secret_key, "name of the key").expose()[..4])
        );
        let all = named.iter().map(|(id, key)| (id.clone(), key));
        Self(
            all.chain([(id, &derived)])
                .map(|(id, key)| Named {
                    id,
                    cipher: XChaCha20Poly1305::new(key.expose().into()),
                })
                .collect(),
        )
    }

    /// The id of the key that seals.
    pub fn current(&self) -> &str {
        &self.0[0].id
    }

    /// # Panics
    /// When the operating system has no randomness to give: nothing safe can be done then.
    pub fn seal(&self, place: Place<'_>, value: &Secret<String>) -> Vec<u8> {
        let key = &self.0[0];
        let mut nonce = [0_u8; NONCE];
        OsRng
            .try_fill_bytes(&mut nonce)
            .expect("the operating system's random source answers");
        let payload = Payload {
            msg: value.expose().as_bytes(),
            aad: &place.bytes(),
        };
        let sealed = key
            .cipher
            .encrypt(&XNonce::from(nonce), payload)
            .expect("values are far below the cipher's limit");
        let id = key.id.as_bytes();
        let length = u8::try_from(id.len()).expect("the settings refuse longer key ids");
        let mut out = Vec::with_capacity(2 + id.len() + NONCE + sealed.len());
        out.extend([VERSION, length]);
        out.extend_from_slice(id);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&sealed);
        out
    }

    pub fn open(&self, place: Place<'_>, stored: &[u8]) -> Result<Secret<String>, CannotOpen> {
        let (id, rest) = key_id(stored).ok_or(CannotOpen)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE>().ok_or(CannotOpen)?;
        let key = self.0.iter().find(|key| key.id.as_bytes() == id);
        let payload = Payload {
            msg: sealed,
            aad: &place.bytes(),
        };
        let opened = key
            .ok_or(CannotOpen)?
            .cipher
            .decrypt(&XNonce::from(*nonce), payload)
            .map_err(|_| CannotOpen)?;
        String::from_utf8(opened)
            .map(Secret::new)
            .map_err(|_| CannotOpen)
    }
}

/// The id of the key under which a value was sealed, and what follows it.
fn key_id(stored: &[u8]) -> Option<(&[u8], &[u8])> {
    let [VERSION, length, rest @ ..] = stored else {
        return None;
    };
    rest.split_at_checked(usize::from(*length))
}

/// A key for one purpose, out of the program's secret key. Keys for two purposes tell nothing of one
/// another.
pub fn derive(secret_key: &Secret<String>, purpose: &str) -> Key {
    let mut key = [0_u8; 32];
    Hkdf::<Sha256>::new(None, secret_key.expose().as_bytes())
        .expand(purpose.as_bytes(), &mut key)
        .expect("32 bytes are within what HKDF gives");
    Secret::new(key)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ring(names: &[(&str, u8)], secret: &str) -> Keyring {
        let keys: Vec<(String, Key)> = names
            .iter()
            .map(|(id, byte)| ((*id).to_owned(), Secret::new([*byte; 32])))
            .collect();
        Keyring::new(&keys, &Secret::new(secret.to_owned()))
    }

    const PLACE: Place<'static> = Place {
        table: "connections",
        column: "refresh_token",
        owner: Uuid::from_u128(1),
        provider: "google",
    };

    proptest! {
        #[test]
        fn what_is_sealed_opens_there_and_nowhere_else(value: String, owner: u128) {
            let keys = ring(&[], "a secret key");
            let sealed = keys.seal(PLACE, &Secret::new(value.clone()));
            let opened = keys.open(PLACE, &sealed).unwrap();
            prop_assert_eq!(opened.expose(), &value);
            for other in [
                Place { table: "revocations", ..PLACE },
                Place { column: "access_token", ..PLACE },
                Place { owner: Uuid::from_u128(owner ^ 2), ..PLACE },
                Place { provider: "hubspot", ..PLACE },
            ] {
                prop_assume!(other.bytes() != PLACE.bytes());
                prop_assert_eq!(keys.open(other, &sealed).unwrap_err(), CannotOpen);
            }
        }

        #[test]
        fn any_changed_byte_is_noticed(value: String, at: prop::sample::Index, by in 1_u8..) {
            let keys = ring(&[], "a secret key");
            let mut sealed = keys.seal(PLACE, &Secret::new(value));
            let at = at.index(sealed.len());
            sealed[at] ^= by;
            prop_assert!(keys.open(PLACE, &sealed).is_err());
        }

        #[test]
        fn any_bytes_are_refused(bytes: Vec<u8>) {
            prop_assert!(ring(&[], "a secret key").open(PLACE, &bytes).is_err());
        }
    }

    #[test]
    fn the_first_key_seals_and_all_open() {
        let value = Secret::new("1//token".to_owned());
        let derived = ring(&[], "a secret key");
        let old = ring(&[("a", 1)], "a secret key");
        let new = ring(&[("b", 2), ("a", 1)], "a secret key");
        for sealed in [derived.seal(PLACE, &value), old.seal(PLACE, &value)] {
            assert_eq!(new.open(PLACE, &sealed).unwrap().expose(), value.expose());
        }
        assert_eq!(new.current(), "b");
        let renewed = new.seal(PLACE, &value);
        assert!(old.open(PLACE, &renewed).is_err());
        let impostor = ring(&[("b", 3)], "a secret key");
        assert!(impostor.open(PLACE, &renewed).is_err());
        let changed = ring(&[], "another secret key");
        assert_ne!(changed.current(), derived.current());
    }
}
