//! `paraplanner eval-assistant`: every prompt against its scenarios, and a table of what came out.
//!
//! With a model configured it is that model's evaluation; without one the simulated model plays each scenario
//! as it should go, which proves the scenarios themselves. The advisor, their providers and the database are
//! made for it and thrown away. It goes the user's way, over HTTP.

mod advisor;
mod outcome;
mod scenarios;

use std::io::Write as _;
use std::net::TcpListener;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::Serialize;
use tempfile::TempDir;
use url::Url;

use crate::app::{self, Role};
use crate::config::{Config, Source};
use crate::simulator::{Simulator, model};
use advisor::Advisor;
use scenarios::{Scenario, all};

/// Where the evaluation will take place.
pub struct Stage {
    listener: TcpListener,
    folder: TempDir,
    scripted: bool,
}

impl Stage {
    /// Takes a free port for the simulated providers, and points the settings there.
    pub fn prepare(source: &mut Source) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let url = Url::parse(&format!("http://{}", listener.local_addr()?))?;
        let folder = tempfile::Builder::new().prefix("paraplanner").tempdir()?;
        for (name, value) in Simulator::settings_at(&url) {
            source.set(name, &value);
        }
        let scripted = !source.has("OPENAI_API_KEY") && !source.has("OPENAI_BASE_URL");
        if scripted {
            source.set("OPENAI_BASE_URL", &format!("{url}v1"));
            source.set("OPENAI_API_KEY", "any");
            source.set("OPENAI_CHAT_MODEL", model::CHAT_MODEL);
        }
        let data = folder.path().join("data");
        for (name, value) in [
            ("APP_ENV", "development"),
            ("BIND_ADDRESS", "127.0.0.1"),
            ("PORT", "0"),
            ("PUBLIC_URL", ""),
            ("FRONTEND_URL", ""),
            ("DATABASE_URL", ""),
            ("DATA_DIR", &data.to_string_lossy()),
            ("OPENAI_EMBEDDING_MODEL", "built-in"),
            ("DEMO_CONTROLS", "true"),
            ("RATE_LIMIT_PER_USER", "0"),
            ("RATE_LIMIT_LLM_PER_USER", "0"),
            ("LOG_LEVEL", "error"),
        ] {
            source.set(name, value);
        }
        Ok(Self {
            listener,
            folder,
            scripted,
        })
    }
}

/// How one scenario went.
#[derive(Serialize)]
struct Result {
    prompt: &'static str,
    version: u32,
    scenario: &'static str,
    passed: bool,
    /// What was wrong.
    why: Option<String>,
    tokens: i64,
    seconds: f64,
}

/// Plays all scenarios, or those whose name holds `only`. Fails when one does.
pub async fn run(
    config: Config,
    stage: Stage,
    only: Option<&str>,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let Stage {
        listener,
        folder,
        scripted,
    } = stage;
    let model = match &config.model.chat {
        Some(_) if scripted => "the simulated model".to_owned(),
        Some(name) => name.clone(),
        None => anyhow::bail!("OPENAI_CHAT_MODEL names no model"),
    };
    let own = tokio::net::TcpListener::bind(config.server.listen)
        .await
        .context("a port of its own")?;
    let running = app::start(config, own, Role::Server).await?;
    let simulator = Simulator::start(
        tokio::net::TcpListener::from_std(listener)?,
        running.app.clock.clone(),
    )?;
    let patience = Duration::from_secs(if scripted { 20 } else { 240 });
    let mut advisor = Advisor::settle_in(running.address, simulator.world(), patience).await?;
    let mut results = Vec::new();
    for scenario in all() {
        if only.is_some_and(|only| !scenario.name.contains(only)) {
            continue;
        }
        let result = play(&mut advisor, &simulator, &scenario, scripted).await?;
        if !json {
            // A table that grows while one waits; a closed standard output is no reason to stop.
            let _ = writeln!(std::io::stdout(), "{}", line(&result));
        }
        results.push(result);
    }
    running.stop().await;
    drop(folder);
    let passed = results.iter().filter(|result| result.passed).count();
    let all = results.len();
    if json {
        let report =
            serde_json::json!({"model": model, "passed": passed, "of": all, "scenarios": results});
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{passed} of {all} with {model}");
    }
    Ok(if passed == all {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn play(
    advisor: &mut Advisor,
    simulator: &Simulator,
    scenario: &Scenario,
    scripted: bool,
) -> anyhow::Result<Result> {
    let model = simulator.world().model();
    if scripted {
        model.clear_script();
        for turn in (scenario.script)() {
            model.script(turn);
        }
    }
    let before = advisor.tokens_today().await?;
    let began = Instant::now();
    let outcome = advisor.plays(&scenario.task, simulator.world()).await;
    let seconds = began.elapsed().as_secs_f64();
    let why = match outcome {
        Ok(outcome) => (scenario.holds)(&outcome).err(),
        Err(error) => Some(format!("{error:#}")),
    };
    let tokens = advisor.tokens_today().await? - before;
    advisor.tidies_up().await?;
    Ok(Result {
        prompt: scenario.prompt.name(),
        version: scenario.prompt.version(),
        scenario: scenario.name,
        passed: why.is_none(),
        why,
        tokens,
        seconds,
    })
}

fn line(result: &Result) -> String {
    let verdict = if result.passed { "passed" } else { "FAILED" };
    let mut line = format!(
        "{verdict}  {:<9} v{:<2} {:<56} {:>7} tokens {:>6.1} s",
        result.prompt, result.version, result.scenario, result.tokens, result.seconds
    );
    if let Some(why) = &result.why {
        line.push_str("\n        ");
        line.push_str(why);
    }
    line
}
