//! The command line: `serve` (default), `worker`, `demo`, `simulator`, `import`, `database`,
//! `bench-queue`, `eval`, `eval-assistant`, `openapi`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use paraplanner::app::Role;
use paraplanner::commands::bench_queue::BenchQueue;
use paraplanner::commands::demo::Providers;
use paraplanner::commands::eval_assistant::Stage;
use paraplanner::config::{Config, Source};
use paraplanner::{app, commands, identity, providers, telemetry};

/// The open-source AI paraplanner.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serves the API and the page (the default)
    Serve,
    /// Only works on queued tasks; its address answers /health, /ready and /metrics
    Worker,
    /// Serves with an invented book of clients, for trying it out
    Demo,
    /// Runs the simulated providers alone and prints the settings that point here
    Simulator {
        /// A free one when 0
        #[arg(long, default_value_t = 0)]
        port: u16,
    },
    /// Tries the settings of Google and HubSpot, and says what to enter there and what is wrong
    SetupCheck,
    /// Imports files (.mbox .eml .txt .md .html .pdf .vcf .ics .csv) into a book
    Import {
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Whose book
        #[arg(long, default_value = identity::DEMO_ADVISOR)]
        user: String,
    },
    /// Runs the database alone and prints its URL, until standard input closes
    Database,
    /// Loads and measures the task queue of an empty database
    BenchQueue {
        #[command(subcommand)]
        what: BenchQueue,
    },
    /// Measures retrieval on the project's own advisor set
    Eval {
        /// Client families in the set
        #[arg(long, default_value_t = 200)]
        clients: usize,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Plays the scenarios of each prompt with the configured model, or with a simulated one
    EvalAssistant {
        /// Only scenarios whose name holds this
        #[arg(long)]
        only: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Prints the OpenAPI document
    Openapi,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut source = Source::process();
    let providers = match &arguments.command {
        Some(Command::Demo) => match Providers::prepare(&mut source) {
            Ok(providers) => Some(providers),
            Err(error) => {
                eprintln!("paraplanner: no port for the simulated providers: {error:#}");
                return ExitCode::FAILURE;
            }
        },
        _ => None,
    };
    let stage = match &arguments.command {
        Some(Command::EvalAssistant { .. }) => match Stage::prepare(&mut source) {
            Ok(stage) => Some(stage),
            Err(error) => {
                eprintln!("paraplanner: no place for the evaluation: {error:#}");
                return ExitCode::FAILURE;
            }
        },
        _ => None,
    };
    let config = match Config::read(&source) {
        Ok(config) => config,
        Err(problems) => {
            for problem in problems {
                eprintln!("{problem}");
            }
            return ExitCode::from(2);
        }
    };
    match run(
        arguments.command.unwrap_or(Command::Serve),
        config,
        providers,
        stage,
    ) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("paraplanner: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(
    command: Command,
    config: Config,
    simulated: Option<Providers>,
    stage: Option<Stage>,
) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let exporters = telemetry::init(&config, runtime.handle(), providers::http::client)?;
    let code = runtime.block_on(async {
        match command {
            Command::Serve => commands::serve::run(config, Role::Server).await,
            Command::Worker => commands::serve::run(config, Role::Worker).await,
            Command::BenchQueue { what } => commands::bench_queue::run(config, what).await,
            Command::Demo => {
                let simulated = simulated.context("the demo needs its simulated providers")?;
                commands::demo::run(config, simulated).await
            }
            Command::Simulator { port } => commands::simulator::run(port).await,
            Command::SetupCheck => commands::setup_check::run(config).await,
            Command::Import { files, user } => commands::import::run(config, files, &user).await,
            Command::Database => commands::database::run(config).await,
            Command::Eval { clients, json } => commands::eval::run(config, clients, json).await,
            Command::EvalAssistant { only, json } => {
                let stage = stage.context("the evaluation needs its place")?;
                commands::eval_assistant::run(config, stage, only.as_deref(), json).await
            }
            Command::Openapi => {
                println!("{:#}", app::contract());
                Ok(ExitCode::SUCCESS)
            }
        }
    })?;
    exporters.flush();
    // A blocking thread that still parses a stranger's file is not waited for.
    runtime.shutdown_background();
    Ok(code)
}
