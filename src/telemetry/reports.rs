//! Errors to Sentry: a line of the log at error level is a report, with the fields that are on the list
//! and nothing else.
//!
//! No message of a panic, no local variable, no request's body, header or address, no user: the report
//! says what failed, where, and by which request id the log tells the rest.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use sentry::protocol::{Event, Exception, Level};
use sentry::{Client, ClientOptions, Envelope, Transport};
use tracing::Subscriber;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::outlet::Outlet;
use super::redact::Redactor;

/// Reports a minute; an outage makes thousands that say the same.
const PER_MINUTE: NonZeroU32 = NonZeroU32::new(60).unwrap();

/// By these one searches.
const TAGS: &[&str] = &[
    "request_id",
    "task_id",
    "kind",
    "place",
    "variable",
    "provider",
    "operation",
];
/// Numbers that help.
const EXTRA: &[&str] = &["attempt", "count", "instance", "elapsed_ms"];
/// Chains of errors.
const CHAINS: &[&str] = &["cause", "error"];
const MESSAGE: &str = "message";

/// Sends what goes to Sentry.
struct Courier {
    outlet: Outlet,
    url: String,
    authorization: String,
}

impl Transport for Courier {
    fn send_envelope(&self, envelope: Envelope) {
        let mut body = Vec::new();
        if envelope.to_writer(&mut body).is_ok() {
            let request = self
                .outlet
                .post(&self.url, body)
                .header("content-type", "application/x-sentry-envelope")
                .header("x-sentry-auth", &self.authorization);
            // What there is no room for is dropped.
            let _ = self.outlet.send(request);
        }
    }

    fn flush(&self, timeout: Duration) -> bool {
        self.outlet.drained(timeout)
    }
}

/// The fields of a line or span that may leave.
#[derive(Clone, Default)]
struct Fields(BTreeMap<&'static str, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let name = field.name();
        if name == MESSAGE
            || [TAGS, EXTRA, CHAINS]
                .iter()
                .any(|list| list.contains(&name))
        {
            self.0.insert(name, format!("{value:?}"));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}

/// The layer that reports.
pub struct Reports {
    client: Arc<Client>,
    redactor: Redactor,
    pace: DefaultDirectRateLimiter,
}

/// A client of the project that the DSN names.
pub fn client(dsn: &str, environment: &'static str, outlet: Outlet) -> anyhow::Result<Arc<Client>> {
    let address: sentry::types::Dsn = dsn.parse()?;
    let courier = Courier {
        outlet,
        url: address.envelope_api_url().to_string(),
        authorization: address.to_auth(Some("paraplanner")).to_string(),
    };
    let options = ClientOptions::new()
        .dsn(dsn)
        .release(concat!("paraplanner@", env!("CARGO_PKG_VERSION")))
        .environment(environment)
        .default_integrations(false)
        .send_default_pii(false)
        .transport(Arc::new(courier));
    Ok(Arc::new(Client::with_options(options)))
}

impl Reports {
    pub fn new(client: Arc<Client>, redactor: Redactor) -> Self {
        Self {
            client,
            redactor,
            pace: RateLimiter::direct(Quota::per_minute(PER_MINUTE)),
        }
    }

    fn report(&self, target: &str, fields: &Fields) -> Event<'static> {
        let words = |name: &str| fields.0.get(name).map(|text| self.redactor.words(text));
        let message = words(MESSAGE).unwrap_or_default();
        let cause = CHAINS.iter().find_map(|name| words(name));
        let mut event = Event {
            level: Level::Error,
            logger: Some(target.to_owned()),
            ..Event::default()
        };
        for name in TAGS {
            if let Some(value) = fields.0.get(name) {
                event
                    .tags
                    .insert((*name).to_owned(), self.redactor.line(value).into_owned());
            }
        }
        for name in EXTRA {
            if let Some(value) = words(name) {
                event.extra.insert((*name).to_owned(), value.into());
            }
        }
        // What is the same problem: the same line about the same kind of thing at the same place.
        event.fingerprint = [Some(target), Some(message.as_str())]
            .into_iter()
            .flatten()
            .map(str::to_owned)
            .chain(
                ["kind", "place"]
                    .iter()
                    .filter_map(|name| fields.0.get(*name).cloned()),
            )
            .chain(cause.clone())
            .map(Into::into)
            .collect::<Vec<_>>()
            .into();
        match cause {
            Some(cause) => event.exception.values.push(Exception {
                ty: message,
                value: Some(cause),
                ..Exception::default()
            }),
            None => event.message = Some(message),
        }
        event
    }
}

impl<S: Subscriber + for<'l> LookupSpan<'l>> Layer<S> for Reports {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, line: &tracing::Event<'_>, context: Context<'_, S>) {
        if *line.metadata().level() != tracing::Level::ERROR || self.pace.check().is_err() {
            return;
        }
        let mut fields = Fields::default();
        for span in context.event_scope(line).into_iter().flatten() {
            if let Some(known) = span.extensions().get::<Fields>() {
                for (name, value) in &known.0 {
                    // The innermost span knows best.
                    fields.0.entry(name).or_insert_with(|| value.clone());
                }
            }
        }
        line.record(&mut fields);
        let report = self.report(line.metadata().target(), &fields);
        self.client.capture_event(report, None);
    }
}
