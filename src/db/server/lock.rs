//! One owner at a time: a file that whoever runs the server holds locked.
//!
//! The kernel drops the lock with its last holder, so no crash leaves one behind.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::time::Duration;

use super::{Error, files};

/// [`is_held`] takes the lock for an instant; an owner's attempt outlasts that.
const ATTEMPTS: u32 = 5;
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(20);

/// The lock on a place; freed when dropped, unless a duplicate lives on.
pub(super) struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock on `place`, or says [`Error::InUse`] of `data_dir`.
    pub(super) async fn take(place: &Path, data_dir: &Path) -> Result<Self, Error> {
        let path = place.join("lock");
        let file = files::open_lock(&path).map_err(Error::file("opening", &path))?;
        for attempt in 1.. {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if attempt < ATTEMPTS => {
                    tokio::time::sleep(BETWEEN_ATTEMPTS).await;
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(Error::InUse {
                        data_dir: data_dir.to_owned(),
                    });
                }
                Err(TryLockError::Error(error)) => {
                    return Err(Error::file("locking", &path)(error));
                }
            }
        }
        Ok(Self { file })
    }

    /// The same lock for a child that shall hold it after us.
    pub(super) fn duplicate(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Frees the lock for all its holders.
    pub(super) fn free(&self) -> io::Result<()> {
        self.file.unlock()
    }
}

/// Whether somebody holds the lock on `place`.
pub(super) fn is_held(place: &Path) -> Result<bool, Error> {
    let path = place.join("lock");
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(Error::file("opening", &path)(error)),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(Error::file("locking", &path)(error)),
    }
}
