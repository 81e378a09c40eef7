//! Logs, metrics, reports of errors, traces.
//!
//! Logs are JSON lines on standard error: ids yes, content no. Metrics are Prometheus text with
//! labels from closed sets. Errors go to Sentry and traces to an OTLP collector where one is
//! configured, with fields from a list, through a net ([`redact`]), by the HTTP client that it is given.
//! May not know: any feature; features call the methods of [`Metrics`] and the functions of [`spans`].

mod metrics;
mod outlet;
mod process;
mod redact;
mod reports;
pub mod spans;
mod traces;

use std::io::{self, Write};
use std::panic;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::Handle;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use self::outlet::Outlet;
use self::redact::Redactor;
use self::reports::Reports;
use crate::config::{Config, Environment, LogFormat};
use crate::ids;
use crate::secret::Secret;

pub use metrics::{Metrics, UNMATCHED};

/// For what is still on its way when the program ends, each.
const FLUSH: Duration = Duration::from_secs(1);
/// Whose lines are reported and whose spans are traced.
const OURS: &str = "paraplanner";

/// What leaves while the program runs, and has to be sent before it ends.
#[derive(Default)]
pub struct Exporters {
    reports: Option<Arc<sentry::Client>>,
    traces: Option<SdkTracerProvider>,
}

impl Exporters {
    /// Sends what is still here, within two seconds. Never on a thread of the runtime.
    pub fn flush(self) {
        if let Some(traces) = self.traces
            && let Err(error) = traces.shutdown_with_timeout(FLUSH)
        {
            tracing::debug!(%error, "the last traces were not delivered");
        }
        if let Some(reports) = self.reports {
            reports.close(Some(FLUSH));
        }
    }
}

/// Starts logging for the process, and reports and traces where they are configured; these are sent by
/// `http` on `runtime`.
pub fn init<E: std::error::Error + Send + Sync + 'static>(
    config: &Config,
    runtime: &Handle,
    http: impl FnOnce() -> Result<reqwest::Client, E>,
) -> anyhow::Result<Exporters> {
    let settings = &config.telemetry;
    let key = config.secret_key.as_ref().map_or_else(
        || ids::token().into_bytes(),
        |key| [b"addresses in logs:", key.expose().as_bytes()].concat(),
    );
    let redactor = Redactor::new(Secret::new(key));
    let environment = match config.environment {
        Environment::Development => "development",
        Environment::Production => "production",
    };
    let mut exporters = Exporters::default();
    if settings.sentry_dsn.is_some() || settings.traces.is_some() {
        let http = http()?;
        let outlet = |to| Outlet::new(to, http.clone(), runtime.clone());
        if let Some(dsn) = &settings.sentry_dsn {
            let client = reports::client(dsn.expose(), environment, outlet("SENTRY_DSN"))?;
            exporters.reports = Some(client);
        }
        if let Some(traces) = &settings.traces {
            let outlet = outlet("OTEL_EXPORTER_OTLP_ENDPOINT");
            let provider = traces::provider(traces, environment, redactor.clone(), outlet)?;
            exporters.traces = Some(provider);
        }
    }

    // html5ever and lopdf tell strangers' content at warn level, rmcp whole messages at debug level.
    let filter = EnvFilter::new(format!(
        "{},html5ever=off,lopdf=off,rmcp=error,sqlx::postgres::notice=off,{}=off",
        settings.log_level,
        spans::TRACES_ALONE,
    ));
    let lines = tracing_subscriber::fmt::layer().with_writer(Net(redactor.clone()));
    let lines = match settings.log_format {
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
        LogFormat::Pretty => lines.with_target(false).boxed(),
    };
    let reports = exporters.reports.clone().map(|client| {
        let ours = filter_fn(|metadata| {
            metadata.target().starts_with(OURS)
                && (metadata.is_span() || *metadata.level() == tracing::Level::ERROR)
        });
        Reports::new(client, redactor).with_filter(ours.with_max_level_hint(LevelFilter::INFO))
    });
    let traces = exporters.traces.as_ref().map(|provider| {
        let ours = filter_fn(|metadata| metadata.is_span() && metadata.target().starts_with(OURS));
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer(OURS))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(ours.with_max_level_hint(LevelFilter::INFO))
    });
    tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .with(reports)
        .with(traces)
        .try_init()?;
    log_panics();
    Ok(exporters)
}

/// Standard error behind the net.
struct Net(Redactor);

impl<'w> MakeWriter<'w> for Net {
    type Writer = Line<'w>;

    fn make_writer(&'w self) -> Self::Writer {
        Line(&self.0)
    }
}

/// One line of the log, which comes whole.
struct Line<'w>(&'w Redactor);

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        io::stderr()
            .lock()
            .write_all(self.0.line(&text).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A panic's text may quote content from outside, so only its place is logged.
fn log_panics() {
    panic::set_hook(Box::new(|info| {
        let place = info.location().map_or_else(
            || "unknown place".to_owned(),
            |place| format!("{}:{}", place.file(), place.line()),
        );
        tracing::error!(place, "a panic was caught");
    }));
}
