//! The settings of logs, metrics, reports of errors and traces.

use std::io::IsTerminal as _;

use url::Url;

use super::read::{Reader, is_local};
use super::{Environment, LogFormat, Telemetry, Traces};
use crate::secret::Secret;

impl Reader<'_> {
    pub(super) fn telemetry(&mut self, environment: Environment) -> Telemetry {
        let log_level = self
            .parsed("LOG_LEVEL", |text| {
                let is_level = |level: &str| {
                    level
                        .parse::<tracing_subscriber::filter::LevelFilter>()
                        .is_ok()
                };
                text.split(',')
                    .all(|part| {
                        is_level(part.split_once('=').map_or(part, |(_, level)| level).trim())
                    })
                    .then(|| text.to_owned())
                    .ok_or_else(|| "must be a level such as info, or target=level pairs".to_owned())
            })
            .unwrap_or_else(|| "info".to_owned());
        let log_format = self
            .parsed("LOG_FORMAT", |text| match text {
                "json" => Ok(LogFormat::Json),
                "pretty" => Ok(LogFormat::Pretty),
                _ => Err("must be json or pretty".to_owned()),
            })
            .unwrap_or_else(|| {
                if std::io::stderr().is_terminal() {
                    LogFormat::Pretty
                } else {
                    LogFormat::Json
                }
            });
        Telemetry {
            log_level,
            log_format,
            metrics_token: self.secret("METRICS_TOKEN"),
            sentry_dsn: self.sentry_dsn(environment),
            traces: self.traces(environment),
        }
    }

    fn sentry_dsn(&mut self, environment: Environment) -> Option<Secret<String>> {
        self.parsed("SENTRY_DSN", |text| {
            let whole = "must be a DSN such as https://key@errors.example.com/1";
            text.parse::<sentry::types::Dsn>()
                .map_err(|_| whole.to_owned())?;
            let url = Url::parse(text).map_err(|_| whole.to_owned())?;
            if environment == Environment::Production && !may_leave(&url) {
                return Err(HTTPS.to_owned());
            }
            Ok(Secret::new(text.to_owned()))
        })
    }

    fn traces(&mut self, environment: Environment) -> Option<Traces> {
        let endpoint = self.http_url("OTEL_EXPORTER_OTLP_ENDPOINT");
        if environment == Environment::Production
            && endpoint.as_ref().is_some_and(|url| !may_leave(url))
        {
            self.refuse("OTEL_EXPORTER_OTLP_ENDPOINT", HTTPS);
        }
        let headers = self
            .parsed("OTEL_EXPORTER_OTLP_HEADERS", |text| {
                text.split(',')
                    .map(|pair| {
                        let (name, value) = pair.split_once('=')?;
                        let (name, value) = (name.trim(), value.trim());
                        let sound = !name.is_empty()
                            && name.bytes().all(|byte| byte.is_ascii_graphic())
                            && value.bytes().all(|byte| matches!(byte, b' '..=b'~'));
                        sound.then(|| (name.to_owned(), Secret::new(value.to_owned())))
                    })
                    .collect::<Option<Vec<_>>>()
                    .ok_or_else(|| "must be name=value pairs, parted by commas".to_owned())
            })
            .unwrap_or_default();
        let share = self
            .parsed("OTEL_TRACES_SAMPLER_ARG", |text| {
                text.parse::<f64>()
                    .ok()
                    .filter(|share| (0.0..=1.0).contains(share))
                    .ok_or_else(|| "must be a number from 0 to 1".to_owned())
            })
            .unwrap_or(1.0);
        endpoint.map(|endpoint| Traces {
            endpoint,
            headers,
            share,
        })
    }
}

const HTTPS: &str = "must be https in production, unless it is in the same private network";

/// What tells of requests crosses the open net encrypted only. A name without a dot is one of a private
/// network: a container beside this one.
fn may_leave(url: &Url) -> bool {
    url.scheme() == "https"
        || url.host().is_some_and(|host| {
            is_local(&host) || matches!(host, url::Host::Domain(name) if !name.contains('.'))
        })
}
