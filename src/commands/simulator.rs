//! `paraplanner simulator`: the simulated providers alone, until Ctrl-C. For looking at them, and for
//! checking them with the providers' own clients.

use std::io::Write as _;
use std::process::ExitCode;

use tokio::net::TcpListener;

use crate::clock::Clock;
use crate::simulator::Simulator;

const ACCOUNTS: [(&str, &str); 2] = [
    ("advisor@example.com", "Alex Advisor"),
    ("second@example.com", "Sam Second"),
];

pub async fn run(port: u16) -> anyhow::Result<ExitCode> {
    // Fails when it is there already, which is as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let simulator = Simulator::start(listener, Clock::default())?;
    for (email, name) in ACCOUNTS {
        simulator.world().google().add_account(email, name);
    }
    let mut out = std::io::stdout().lock();
    let origin = simulator.world().url().as_str().trim_end_matches('/');
    writeln!(out, "simulator listening on {origin}")?;
    for (name, value) in simulator.settings() {
        writeln!(out, "{name}={value}")?;
    }
    out.flush()?;
    drop(out);
    tokio::signal::ctrl_c().await?;
    Ok(ExitCode::SUCCESS)
}
