//! Whose rights the database server runs with.
//!
//! As an ordinary user: our own. As root, which PostgreSQL refuses: the owner of the cluster, and
//! before there is one `nobody`. May not know: what is run.

use std::io;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

/// `nobody` by number: -2 in 32 bits on macOS, in 16 elsewhere.
const NOBODY: (u32, u32) = if cfg!(target_os = "macos") {
    (u32::MAX - 1, u32::MAX - 1)
} else {
    (65534, 65534)
};

/// The account of the server's processes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Account {
    /// User and group to change to; `None` when we stay who we are.
    switch_to: Option<(u32, u32)>,
}

impl Account {
    /// The account for the cluster at this path, which need not exist yet.
    pub(super) fn of_cluster(cluster: &Path) -> io::Result<Self> {
        if !is_root() {
            return Ok(Self { switch_to: None });
        }
        let owner = match cluster.metadata() {
            Ok(metadata) if metadata.uid() != 0 => (metadata.uid(), metadata.gid()),
            Ok(_) => NOBODY,
            Err(error) if error.kind() == io::ErrorKind::NotFound => NOBODY,
            Err(error) => return Err(error),
        };
        Ok(Self {
            switch_to: Some(owner),
        })
    }

    /// A command under this account: without our environment, which holds secrets and might hold
    /// `PG…` variables, in a process group of its own, so that Ctrl-C reaches us alone, and from `/`,
    /// because our working directory may be closed to it.
    pub(super) fn command(self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            // Messages are read by the program; macOS refuses to start without a valid locale.
            .env("LC_ALL", "C")
            .current_dir("/")
            .stdin(Stdio::null())
            .process_group(0);
        if let Some((uid, gid)) = self.switch_to {
            command.uid(uid).gid(gid);
        }
        command
    }

    /// Makes a path this account's.
    pub(super) fn give(self, path: &Path) -> io::Result<()> {
        match self.switch_to {
            Some((uid, gid)) => chown(path, Some(uid), Some(gid)),
            None => Ok(()),
        }
    }

    /// Whether this account can pass through a directory. Tried, because modes tell nothing of
    /// access lists and mounts.
    pub(super) async fn reaches(self, directory: &Path) -> io::Result<bool> {
        if self.switch_to.is_none() {
            return Ok(true);
        }
        let status = self
            .command(Path::new("/bin/sh"))
            .args(["-c", "cd -- \"$1\"", "reaches"])
            .arg(directory)
            .stderr(Stdio::null())
            .status()
            .await?;
        Ok(status.success())
    }
}

/// Whether this program runs as root.
pub(super) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
