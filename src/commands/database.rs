//! `paraplanner database`: the database alone, migrated, until standard input closes. For `psql`,
//! and for checking the queries in the source against it.

use std::io::Write as _;
use std::process::ExitCode;

use tokio::io::AsyncReadExt as _;

use crate::config::Config;
use crate::db::Database;

pub async fn run(config: Config) -> anyhow::Result<ExitCode> {
    let database = Database::open(&config.database).await?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", database.url.expose())?;
    out.flush()?;
    drop(out);
    let mut rest = Vec::new();
    tokio::io::stdin().read_to_end(&mut rest).await?;
    database.close().await;
    Ok(ExitCode::SUCCESS)
}
