//! The server's process and its watchdog.
//!
//! Promises: no moment in which our death, `kill -9` included, leaves a server behind. The watchdog
//! starts first and learns the server's pid; only then is the server let go. While we live it waits for
//! the end of a pipe that nobody else holds (Rust's pipes are closed in other children), or looks for
//! another process, and then asks the server for a fast shutdown.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::{Instant, sleep, timeout};

use super::account::Account;
use super::cluster::Place;
use super::installation::Installation;
use super::lock::Lock;
use super::postmaster::{FAST_STOP, IMMEDIATE_STOP, POLL, Postmaster, send};
use super::{Durability, Error, Lifetime, Options, files};

/// Recovery after a crash replays up to `max_wal_size`.
const START_LIMIT: Duration = Duration::from_mins(5);
/// From here on the user is told why it takes so long.
const LONG_START: Duration = Duration::from_secs(5);
/// How long sessions of a killed server may need to notice: a busy one does at its statement timeout,
/// which the pool sets to 30 seconds.
const LEFTOVER_LIMIT: Duration = Duration::from_secs(40);
/// A port can be taken between its choice and its use.
const PORT_ATTEMPTS: u32 = 5;
/// Of the log in an error message.
const TAIL_LINES: usize = 12;

const SHELL: &str = "/bin/sh";

/// Lets the server go when told so. The shell becomes the server, so that its pid is the server's.
const HELD: &str = r#"read -r go && exec "$@" </dev/null"#;

/// Stops the server when standard input ends.
const WATCH_US: &str = r#"
trap '' HUP INT TERM
read -r server || exit 0
while read -r more; do :; done
kill -INT "$server"
"#;

/// Stops the server when process $1 is gone. Holds the lock as its standard output meanwhile, which no
/// child of its own may inherit.
const WATCH_OTHER: &str = r#"
trap '' HUP INT TERM
read -r server || exit 0
while kill -0 "$1" && kill -0 "$server"; do sleep 0.2 >/dev/null; done
kill -INT "$server"
"#;

const SETTINGS: [&str; 16] = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "password_encryption=scram-sha-256",
    "shared_buffers=128MB",
    "max_wal_size=2GB",
    "wal_compression=on",
    "timezone=UTC",
    "log_timezone=UTC",
    // Our statements are short: compiling them costs more than it saves.
    "jit=off",
    "idle_in_transaction_session_timeout=60s",
    // Tables are small and change in bursts (an import), so statistics should follow sooner.
    "autovacuum_vacuum_scale_factor=0.1",
    "autovacuum_analyze_scale_factor=0.05",
    // The log is for operators: no rows and no statements, which hold the advisor's data.
    "log_error_verbosity=terse",
    "log_min_error_statement=panic",
    "log_checkpoints=off",
    "logging_collector=off",
];

/// For data that nobody will miss.
const NOT_DURABLE: [&str; 3] = [
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
];

/// A running server that takes connections.
pub(super) struct Process {
    server: Child,
    watchdog: Child,
    /// What the watchdog waits for: closes when we end, in whatever way.
    _pipe: ChildStdin,
    pub(super) port: u16,
}

/// Why an attempt failed.
enum Failure {
    PortTaken,
    /// Sessions of a killed server still hold its memory.
    Leftovers,
    Final(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Final(error)
    }
}

impl Process {
    /// Starts a server and waits until it takes connections.
    pub(super) async fn start(
        options: &Options,
        installation: &Installation,
        account: Account,
        place: &Place,
        lock: &Lock,
    ) -> Result<Self, Error> {
        let log = place.log();
        keep_last_log(&log).map_err(Error::file("renaming", &log))?;
        let deadline = Instant::now() + LEFTOVER_LIMIT;
        let mut ports = 0;
        loop {
            match Self::attempt(options, installation, account, place, lock).await {
                Ok(process) => return Ok(process),
                Err(Failure::PortTaken) if ports < PORT_ATTEMPTS => ports += 1,
                Err(Failure::Leftovers) if Instant::now() < deadline => {
                    sleep(Duration::from_millis(200)).await;
                }
                Err(Failure::Final(error)) => return Err(error),
                Err(_) => return Err(not_started(&log)),
            }
        }
    }

    async fn attempt(
        options: &Options,
        installation: &Installation,
        account: Account,
        place: &Place,
        lock: &Lock,
    ) -> Result<Self, Failure> {
        let shell = Path::new(SHELL);
        let cluster = place.cluster();
        let log = place.log();
        let port = free_port().map_err(Error::file(
            "finding a free port on",
            Path::new("127.0.0.1"),
        ))?;
        let output = open_log(&log).map_err(Error::file("opening", &log))?;
        let errors = output.try_clone().map_err(Error::file("opening", &log))?;

        let mut watchdog = watchdog(options.lifetime, lock)
            .and_then(|mut command| command.spawn())
            .map_err(Error::run(shell))?;
        let mut command = account.command(shell);
        command
            .args(["-c", HELD, "server"])
            .arg(installation.program("postgres"))
            .arg("-D")
            .arg(&cluster)
            .args(["-p", &port.to_string()])
            .args([
                "-c",
                &format!("max_connections={}", options.max_connections),
            ]);
        let not_durable: &[&str] = match options.durability {
            Durability::Full => &[],
            Durability::Off => &NOT_DURABLE,
        };
        for setting in SETTINGS.iter().chain(not_durable) {
            command.args(["-c", setting]);
        }
        let mut server = command
            .stdin(Stdio::piped())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .map_err(Error::run(shell))?;
        let (Some(pid), Some(mut pipe), Some(mut go)) =
            (server.id(), watchdog.stdin.take(), server.stdin.take())
        else {
            return Err(Error::run(shell)(io::ErrorKind::BrokenPipe.into()).into());
        };
        pipe.write_all(format!("{pid}\n").as_bytes())
            .await
            .map_err(Error::run(shell))?;
        go.write_all(b"go\n").await.map_err(Error::run(shell))?;

        let mut process = Self {
            server,
            watchdog,
            _pipe: pipe,
            port,
        };
        match process.until_ready(&cluster).await {
            Ok(()) => Ok(process),
            Err(error) => {
                // For an error of ours it may still run; that it is stopped hard is no news then.
                let _ = process.stop().await;
                error.map_or_else(|| Err(failure(&log)), |error| Err(error.into()))
            }
        }
    }

    /// Waits for the server's own word; `Err(None)` when it has ended instead.
    async fn until_ready(&mut self, cluster: &Path) -> Result<(), Option<Error>> {
        let began = Instant::now();
        let mut told = false;
        let pid = self.server.id().and_then(|pid| i32::try_from(pid).ok());
        loop {
            if self.ended()?.is_some() {
                return Err(None);
            }
            if Postmaster::read(cluster).is_some_and(|found| found.ready && Some(found.pid) == pid)
            {
                return Ok(());
            }
            if began.elapsed() > LONG_START && !told {
                tracing::info!("the database is recovering from a crash");
                told = true;
            }
            if began.elapsed() > START_LIMIT {
                self.end().await?;
                return Err(None);
            }
            sleep(POLL).await;
        }
    }

    fn ended(&mut self) -> Result<Option<ExitStatus>, Error> {
        self.server
            .try_wait()
            .map_err(Error::run(Path::new("postgres")))
    }

    /// Stops the server: fast, and when that takes too long immediately.
    pub(super) async fn stop(mut self) -> Result<(), Error> {
        let in_order = self.end().await;
        self.end_watchdog().await;
        if in_order? {
            Ok(())
        } else {
            Err(Error::StoppedHard)
        }
    }

    /// Ends the server; says whether a fast shutdown sufficed.
    async fn end(&mut self) -> Result<bool, Error> {
        for (signal, limit) in [
            (Signal::INT, FAST_STOP),
            (Signal::QUIT, IMMEDIATE_STOP),
            (Signal::KILL, IMMEDIATE_STOP),
        ] {
            // None once it has been waited for: then its number may be another's.
            let Some(pid) = self.server.id().and_then(|pid| i32::try_from(pid).ok()) else {
                return Ok(true);
            };
            send(pid, signal);
            if let Ok(status) = timeout(limit, self.server.wait()).await {
                status.map_err(Error::run(Path::new("postgres")))?;
                return Ok(signal == Signal::INT);
            }
        }
        Ok(false)
    }

    /// Ends the watchdog before it would signal a pid that is no longer the server's.
    async fn end_watchdog(&mut self) {
        let pid = self.watchdog.id().and_then(|pid| i32::try_from(pid).ok());
        if let Some(pid) = pid.and_then(Pid::from_raw) {
            // It leads a group of its own, with the `sleep` that it may be waiting for.
            let _ = kill_process_group(pid, Signal::KILL);
        }
        let _ = self.watchdog.wait().await;
    }
}

/// The watchdog runs under our account, not the server's: it must be able to ask for our pid.
fn watchdog(lifetime: Lifetime, lock: &Lock) -> io::Result<Command> {
    let mut command = Command::new(SHELL);
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::piped())
        .stderr(Stdio::null());
    match lifetime {
        Lifetime::ThisProcess => command.args(["-c", WATCH_US]).stdout(Stdio::null()),
        Lifetime::WhileProcessLives(pid) => command
            .args(["-c", WATCH_OTHER, "watchdog", &pid.to_string()])
            .stdout(lock.duplicate()?),
    };
    Ok(command)
}

/// A port that is free now.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}

/// Keeps the log of the last run beside the new one: two runs bound its size.
fn keep_last_log(log: &Path) -> io::Result<()> {
    files::absent_is_fine(std::fs::rename(log, log.with_added_extension("last")))
}

fn open_log(log: &Path) -> io::Result<File> {
    files::absent_is_fine(std::fs::remove_file(log))?;
    // The server and all its children write through this: each line at the end.
    files::private().create_new(true).append(true).open(log)
}

fn failure(log: &Path) -> Failure {
    let text = read_log(log);
    if text.contains("Address already in use") {
        Failure::PortTaken
    } else if text.contains("shared memory block") && text.contains("still in use") {
        Failure::Leftovers
    } else {
        Failure::Final(not_started(log))
    }
}

fn not_started(log: &Path) -> Error {
    let text = read_log(log);
    let lines: Vec<&str> = text.lines().collect();
    Error::NotStarted {
        log: log.to_owned(),
        tail: lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n"),
    }
}

fn read_log(log: &Path) -> String {
    let bytes = std::fs::read(log).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
