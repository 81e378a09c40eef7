//! `paraplanner import FILE…`: files of this machine into a book, beside a running server or without.

use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::app;
use crate::config::Config;
use crate::db::{Database, UserScope};
use crate::identity;
use crate::ingest::{self, FileReport};
use crate::retrieval;
use crate::state::App;

/// Unreadable items that are printed; the count tells of the rest.
const SHOWN: usize = 20;
const PATIENCE: Duration = Duration::from_secs(20);

/// Imports, prints what became of each file, and waits until everything can be found by meaning too.
pub async fn run(config: Config, files: Vec<PathBuf>, user: &str) -> anyhow::Result<ExitCode> {
    let database = Database::join_or_open(&config.database).await?;
    let app = app::build(config, &database, SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let scope = identity::demo_advisor(&app.pool, &app.clock, user).await?;
    // Beside a running server it shares the work; alone it does all of it.
    app.background
        .spawn(app::worker(&app, &database).run(app.stopping.clone(), Duration::from_secs(5)));
    app.background.close();
    let mut failed = false;
    for path in &files {
        let size = std::fs::metadata(path).map_or(0, |meta| meta.len());
        let started = Instant::now();
        let outcome = ingest::import_file(&app, &scope, path, |done| {
            show_progress(&format!(
                "{}: {} of {} MB",
                path.display(),
                done >> 20,
                size >> 20
            ));
        })
        .await;
        clear_progress();
        match outcome {
            Ok(report) => print(&report, started.elapsed()),
            Err(error) => {
                failed = true;
                eprintln!("{}: {error:#}", path.display());
            }
        }
    }
    wait_for_vectors(&app, &scope).await?;
    app.stopping.cancel();
    app.background.wait().await;
    database.close().await;
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn print(report: &FileReport, elapsed: Duration) {
    println!(
        "{}: {} imported, {} unchanged, {} unreadable ({:.1} s)",
        report.name,
        report.imported,
        report.unchanged,
        report.unreadable.len(),
        elapsed.as_secs_f64(),
    );
    for item in report.unreadable.iter().take(SHOWN) {
        let field = |name: &str| {
            item.get(name)
                .and_then(serde_json::Value::as_str)
                .unwrap_or_default()
        };
        println!("  {}: {}", field("position"), field("reason"));
    }
    if report.unreadable.len() > SHOWN {
        println!("  … and {} more", report.unreadable.len() - SHOWN);
    }
}

/// Words can be searched already; this waits for the vectors, which the embedder makes meanwhile.
///
/// When nothing moves for a while (the embedding server is away), it says so and leaves the rest to
/// the next start: nothing is lost.
async fn wait_for_vectors(app: &App, scope: &UserScope) -> anyhow::Result<()> {
    let mut last = (i64::MAX, Instant::now());
    loop {
        let mut tx = scope.begin(&app.pool).await?;
        let status = retrieval::index_status(&mut tx).await?;
        drop(tx);
        if status.waiting == 0 {
            clear_progress();
            println!("{} passages can be searched", status.total);
            return Ok(());
        }
        if status.waiting < last.0 {
            last = (status.waiting, Instant::now());
        }
        if last.1.elapsed() > PATIENCE {
            clear_progress();
            println!(
                "{} of {} passages can be searched by words only for now: the embedding model does not answer",
                status.waiting, status.total
            );
            return Ok(());
        }
        show_progress(&format!(
            "indexed by meaning: {} of {} passages",
            status.total - status.waiting,
            status.total
        ));
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

fn show_progress(line: &str) {
    if std::io::stderr().is_terminal() {
        eprint!("\r\u{1b}[2K{line}");
        let _ = std::io::stderr().flush();
    }
}

fn clear_progress() {
    if std::io::stderr().is_terminal() {
        eprint!("\r\u{1b}[2K");
    }
}
