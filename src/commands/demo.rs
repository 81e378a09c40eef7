//! `paraplanner demo`: the server with the demo advisor's invented book.

use std::process::ExitCode;

use super::serve;
use crate::app::Role;
use crate::config::Config;
use crate::identity;
use crate::ingest;

pub async fn run(config: Config) -> anyhow::Result<ExitCode> {
    let running = serve::start(config, Role::Server).await?;
    let app = &running.app;
    let scope = identity::demo_advisor(&app.pool, &app.clock, identity::DEMO_ADVISOR).await?;
    ingest::fill_demo_book(app, &scope, None).await?;
    serve::wait(running).await
}
