//! `paraplanner`, `paraplanner serve` and `paraplanner worker`: until a signal.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::Context as _;
use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{SignalKind, signal};

use crate::app::{self, Role, Running};
use crate::config::Config;
use crate::http::server::raise_descriptor_limit;

/// Connections that wait to be accepted; whoever finds more comes again after a second, or three, or seven.
const BACKLOG: u32 = 4096;

/// Serves until SIGTERM or SIGINT; a second signal ends the process at once.
pub async fn run(config: Config, role: Role) -> anyhow::Result<ExitCode> {
    let running = start(config, role).await?;
    wait(running).await
}

/// Starts, and says where it listens.
pub async fn start(config: Config, role: Role) -> anyhow::Result<Running> {
    raise_descriptor_limit();
    let listen = config.server.listen;
    let listener =
        bind(listen).with_context(|| format!("listening on {listen} (BIND_ADDRESS, PORT)"))?;
    let running = app::start(config, listener, role).await?;
    // A closed standard output is no reason not to serve.
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "listening on http://{}", running.address);
    let _ = out.flush();
    Ok(running)
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

/// Until a signal; then stops in order.
pub async fn wait(running: Running) -> anyhow::Result<ExitCode> {
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
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
