//! A server process as its `postmaster.pid` shows it: whose it is, where it listens, how to end it.
//!
//! Promises: nothing is signalled because of a number in a file alone; the process must be a
//! `postgres` on this very cluster.

use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use super::Error;

/// A fast shutdown writes a checkpoint.
pub(super) const FAST_STOP: Duration = Duration::from_secs(10);
/// An immediate one only ends processes.
pub(super) const IMMEDIATE_STOP: Duration = Duration::from_secs(6);

/// How often a change is looked for.
pub(super) const POLL: Duration = Duration::from_millis(10);

/// What PostgreSQL wrote of itself into its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Postmaster {
    pub(super) pid: i32,
    pub(super) port: u16,
    /// Whether it takes connections.
    pub(super) ready: bool,
}

impl Postmaster {
    /// Reads the file; `None` when there is none, or none that is complete.
    pub(super) fn read(cluster: &Path) -> Option<Self> {
        Self::parse(&std::fs::read_to_string(cluster.join("postmaster.pid")).ok()?)
    }

    /// Lines: pid, cluster, start time, port, socket directory, address, shared memory, status.
    fn parse(content: &str) -> Option<Self> {
        let mut lines = content.lines();
        Some(Self {
            pid: lines.next()?.trim().parse().ok().filter(|&pid| pid > 1)?,
            port: lines.nth(2)?.trim().parse().ok()?,
            ready: lines.nth(3).is_some_and(|status| status.trim() == "ready"),
        })
    }

    /// Whether this process lives and is the server of this cluster.
    pub(super) async fn runs(self, cluster: &Path) -> bool {
        let Some(command_line) = command_line(self.pid).await else {
            return false;
        };
        command_line.contains(&format!("/postgres -D {} ", cluster.display()))
    }
}

/// Ends a server that a killed owner left on the cluster, and clears what would keep ours from starting.
pub(super) async fn stop_orphan(cluster: &Path) -> Result<(), Error> {
    let Some(orphan) = Postmaster::read(cluster) else {
        return Ok(());
    };
    if !orphan.runs(cluster).await {
        // A dead process PostgreSQL sees by itself. A living one it would take for a server, although
        // the number has since gone to somebody else.
        if Pid::from_raw(orphan.pid).is_some_and(|pid| test_kill_process(pid).is_ok()) {
            let path = cluster.join("postmaster.pid");
            std::fs::remove_file(&path).map_err(Error::file("removing", &path))?;
        }
        return Ok(());
    }
    tracing::info!(
        pid = orphan.pid,
        "stopping the database server that a killed program left behind"
    );
    for (signal, limit) in [
        (Signal::INT, FAST_STOP),
        (Signal::QUIT, IMMEDIATE_STOP),
        (Signal::KILL, IMMEDIATE_STOP),
    ] {
        send(orphan.pid, signal);
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            if !orphan.runs(cluster).await {
                return Ok(());
            }
            sleep(POLL).await;
        }
    }
    Err(Error::NotReady)
}

/// Signals a server process. That it may have ended meanwhile is no error: its end is what we wait for.
pub(super) fn send(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = kill_process(pid, signal);
    }
}

/// The command line of a process, its words joined by blanks; `None` when there is no such process,
/// or it is a zombie.
async fn command_line(pid: i32) -> Option<String> {
    let bytes = if Path::new("/proc/self").exists() {
        std::fs::read(format!("/proc/{pid}/cmdline")).ok()?
    } else {
        Command::new("/bin/ps")
            .args(["-ww", "-o", "command=", "-p", &pid.to_string()])
            .output()
            .await
            .ok()?
            .stdout
    };
    (!bytes.is_empty()).then(|| String::from_utf8_lossy(&bytes).replace('\0', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_postgres_writes() {
        let file = "4711\n/data/postgres\n1790000000\n40123\n\n127.0.0.1\n  123 4\nready   \n";
        let expected = Postmaster {
            pid: 4711,
            port: 40123,
            ready: true,
        };
        assert_eq!(Postmaster::parse(file), Some(expected));
        let starting = file.replace("ready   ", "starting");
        assert_eq!(
            Postmaster::parse(&starting),
            Some(Postmaster {
                ready: false,
                ..expected
            })
        );
    }

    #[test]
    fn a_file_half_written_is_none() {
        for file in [
            "",
            "4711\n",
            "4711\n/data\n1790000000\n",
            "-1\n/d\n1\n2\n",
            "x\n/d\n1\n2\n",
        ] {
            assert_eq!(Postmaster::parse(file), None, "{file:?}");
        }
    }
}
