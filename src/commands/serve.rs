//! `paraplanner`, `paraplanner serve` and `paraplanner worker`: until a signal.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::Context as _;
use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::app::{self, Role, Running};
use crate::config::Config;
use crate::http::server::raise_descriptor_limit;

/// Connections that wait to be accepted; whoever finds more comes again after a second, or three, or seven.
const BACKLOG: u32 = 4096;

/// Serves until SIGTERM or SIGINT; a second signal ends the process at once.
pub async fn run(config: Config, role: Role) -> anyhow::Result<ExitCode> {
    start(config, role).await?.wait().await
}

/// A server that has said where it listens, and hears signals.
pub struct Serving {
    pub running: Running,
    term: Signal,
    int: Signal,
}

/// Starts, and says where it listens.
pub async fn start(config: Config, role: Role) -> anyhow::Result<Serving> {
    raise_descriptor_limit();
    let listen = config.server.listen;
    let listener =
        bind(listen).with_context(|| format!("listening on {listen} (BIND_ADDRESS, PORT)"))?;
    let running = app::start(config, listener, role).await?;
    // Before anybody hears that it is there: who does may stop it. Until then a signal ends it at once.
    let term = signal(SignalKind::terminate())?;
    let int = signal(SignalKind::interrupt())?;
    // A closed standard output is no reason not to serve.
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "listening on http://{}", running.address);
    let _ = out.flush();
    Ok(Serving { running, term, int })
}

fn bind(listen: SocketAddr) -> io::Result<TcpListener> {
    let socket = if listen.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // A new process mustn't wait for the old one's connections to be forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(listen)?;
    socket.listen(BACKLOG)
}

impl Serving {
    /// Until a signal; then stops in order.
    pub async fn wait(self) -> anyhow::Result<ExitCode> {
        let Self {
            running,
            mut term,
            mut int,
        } = self;
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        tokio::select! {
            () = running.stop() => Ok(ExitCode::SUCCESS),
            _ = term.recv() => Ok(ExitCode::FAILURE),
            _ = int.recv() => Ok(ExitCode::FAILURE),
        }
    }
}
