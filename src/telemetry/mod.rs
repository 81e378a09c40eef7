//! Logs and metrics.
//!
//! Logs are JSON lines on standard error: ids yes, content no. Metrics are Prometheus text with
//! labels from closed sets. May not know: any feature; features call the methods of [`Metrics`].

mod metrics;

use std::panic;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::config::{LogFormat, Telemetry};

pub use metrics::{Metrics, UNMATCHED};

/// Starts logging for the process; a second call is ignored (tests share one process).
pub fn init(settings: &Telemetry) {
    // html5ever and lopdf tell strangers' content at warn level, rmcp whole messages at debug level.
    let filter = EnvFilter::new(format!(
        "{},html5ever=off,lopdf=off,rmcp=error,sqlx::postgres::notice=off",
        settings.log_level
    ));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_span_events(FmtSpan::NONE)
        .with_writer(std::io::stderr);
    // Failing means that somebody else in this process logs already.
    let _ = match settings.log_format {
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
        LogFormat::Pretty => lines.with_target(false).try_init(),
    };
    log_panics();
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
