//! Traces to a collector by OTLP over HTTP: the spans of [`super::spans`], with the attributes that are on
//! the list and nothing else.
//!
//! What a span should never hold is dropped here, at the last moment, whoever put it there. A trace begins
//! with our own request or task: what a stranger sends as `traceparent` isn't believed.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{Request, Response};
use opentelemetry::trace::{SpanKind, Status};
use opentelemetry::{KeyValue, StringValue, Value};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, SpanData, SpanEvents,
    SpanExporter, SpanLinks,
};

use super::outlet::Outlet;
use super::redact::Redactor;
use crate::config::Traces;
use crate::ids;

/// Spans that wait for the next delivery; beyond it they are dropped.
const WAITING: usize = 2048;
const EVERY: Duration = Duration::from_secs(5);
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// Attributes that may leave.
const ATTRIBUTES: &[&str] = &[
    "request_id",
    "http.request.method",
    "http.route",
    "http.response.status_code",
    "task_id",
    "kind",
    "attempt",
    "outcome",
    "provider",
    "operation",
    "purpose",
];

/// Sends what goes to the collector.
#[derive(Debug)]
struct Courier(Outlet);

impl HttpClient for Courier {
    fn send_bytes<'c, 'f>(
        &'c self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'f>>
    where
        'c: 'f,
        Self: 'f,
    {
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let request = self
                .0
                .post(&head.uri.to_string(), body)
                .headers(head.headers);
            let sent = self
                .0
                .send(request)
                .ok_or("too much is under way, or a pause was asked for")?;
            let status = sent.await??;
            Ok(Response::builder().status(status).body(Bytes::new())?)
        })
    }
}

/// Lets through what is on the list.
#[derive(Debug)]
struct Listed<E> {
    exporter: E,
    redactor: Redactor,
}

impl<E> Listed<E> {
    fn cleaned(&self, mut span: SpanData) -> SpanData {
        span.attributes
            .retain(|attribute| ATTRIBUTES.contains(&attribute.key.as_str()));
        for attribute in &mut span.attributes {
            if let Value::String(text) = &attribute.value {
                let line = self.redactor.line(text.as_str()).into_owned();
                attribute.value = Value::String(StringValue::from(line));
            }
        }
        span.name = self.redactor.line(&span.name).into_owned().into();
        span.events = SpanEvents::default();
        span.links = SpanLinks::default();
        if let Status::Error { .. } = span.status {
            span.status = Status::error("");
        }
        // Said here and not on the spans, which the lines of the log show as well; and a span that has
        // begun takes no other name.
        let text = |name: &str| {
            let known = span.attributes.iter();
            known
                .filter(|known| known.key.as_str() == name)
                .map(|known| known.value.as_str().into_owned())
                .next()
        };
        if let (Some(method), Some(route)) = (text("http.request.method"), text("http.route")) {
            span.name = format!("{method} {route}").into();
            span.span_kind = SpanKind::Server;
        } else if let (Some(_), Some(kind)) = (text("task_id"), text("kind")) {
            span.name = kind.into();
            span.span_kind = SpanKind::Consumer;
        }
        span
    }
}

impl<E: SpanExporter> SpanExporter for Listed<E> {
    fn export(&self, batch: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> + Send {
        let cleaned = batch.into_iter().map(|span| self.cleaned(span)).collect();
        self.exporter.export(cleaned)
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// What makes and delivers traces; a thread of its own does the latter.
pub fn provider(
    settings: &Traces,
    environment: &'static str,
    redactor: Redactor,
    outlet: Outlet,
) -> anyhow::Result<SdkTracerProvider> {
    let base = settings.endpoint.as_str().trim_end_matches('/');
    let headers = settings
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), value.expose().clone()))
        .collect();
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_http_client(Courier(outlet))
        .with_headers(headers)
        .with_endpoint(format!("{base}/v1/traces"))
        .with_protocol(Protocol::HttpBinary)
        .with_timeout(TIME_LIMIT)
        .build()?;
    let batches = BatchConfigBuilder::default()
        .with_max_queue_size(WAITING)
        .with_scheduled_delay(EVERY)
        .build();
    let processor = BatchSpanProcessor::builder(Listed { exporter, redactor })
        .with_batch_config(batches)
        .build();
    let resource = Resource::builder_empty()
        .with_service_name("paraplanner")
        .with_attributes([
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", ids::next().to_string()),
            KeyValue::new("deployment.environment.name", environment),
        ])
        .build();
    let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(settings.share)));
    Ok(SdkTracerProvider::builder()
        .with_span_processor(processor)
        .with_sampler(sampler)
        .with_resource(resource)
        .build())
}
