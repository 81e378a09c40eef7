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

const PORTAL: u64 = 4242;

pub async fn run(port: u16) -> anyhow::Result<ExitCode> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let simulator = Simulator::start(listener, Clock::default())?;
    let hubspot = simulator.world().hubspot();
    hubspot.add_portal(PORTAL, "example.com");
    for (member, (email, name)) in (9001..).zip(ACCOUNTS) {
        simulator.world().google().add_account(email, name);
        hubspot.add_user(PORTAL, member, email);
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
