//! Values that must never be printed.
//!
//! [`Secret`] shows `[redacted]` wherever it is formatted or serialised and is zeroed when dropped.
//! [`Keyring`] seals what has to lie in the database. May not know: what the secret opens.

mod seal;

use std::io::Write as _;
use std::path::Path;
use std::{fmt, fs, io};

use anyhow::Context as _;

use serde::{Serialize, Serializer};
use zeroize::Zeroize;

use crate::ids;

pub use seal::{CannotOpen, Key, Keyring, Place, derive};

/// A secret; [`Secret::expose`] is the only way to its content, and easy to search for.
#[derive(Clone)]
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The content, for the one call that needs it.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl<T: Zeroize> fmt::Display for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl<T: Zeroize> Serialize for Secret<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("[redacted]")
    }
}

/// The secret key of a development machine: made at the first start, and kept in a file that only its
/// owner reads.
pub fn kept_in(data_dir: &Path) -> anyhow::Result<Secret<String>> {
    let path = data_dir.join("secret_key");
    loop {
        match fs::read_to_string(&path) {
            Ok(key) if key.trim().len() >= 32 => return Ok(Secret::new(key.trim().to_owned())),
            Ok(_) => anyhow::bail!("{} holds no key; delete it", path.display()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(error).with_context(|| format!("reading {}", path.display()));
            }
        }
        fs::create_dir_all(data_dir).with_context(|| {
            format!(
                "making {} for a secret key (or set SECRET_KEY)",
                data_dir.display()
            )
        })?;
        // Whole or not at all, and the first of two who start together stays.
        let mut file = tempfile::NamedTempFile::new_in(data_dir)?;
        file.write_all(ids::token().as_bytes())?;
        file.as_file().sync_all()?;
        if let Err(error) = file.persist_noclobber(&path)
            && error.error.kind() != io::ErrorKind::AlreadyExists
        {
            return Err(error.error).with_context(|| format!("writing {}", path.display()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_prints_it() {
        let secret = Secret::new(String::from("hunter2"));
        assert_eq!(format!("{secret} {secret:?}"), "[redacted] [redacted]");
        assert_eq!(serde_json::to_string(&secret).unwrap(), "\"[redacted]\"");
        assert_eq!(secret.expose(), "hunter2");
    }
}
