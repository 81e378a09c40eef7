//! The metrics that this program exports, in one registry without globals.

use std::time::Duration;

use prometheus::{
    Encoder as _, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec,
    IntGauge, IntGaugeVec, Opts, Registry, TextEncoder, core::Collector,
};

use super::process::Process;

/// Handles to every metric; cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    http_requests: IntCounterVec,
    http_duration: HistogramVec,
    http_in_progress: IntGauge,
    panics: IntCounter,
    model_requests: IntCounterVec,
    model_duration: HistogramVec,
    model_tokens: IntCounterVec,
    search_duration: Histogram,
    citations: IntCounterVec,
    leaks: IntCounter,
    accounts: IntCounterVec,
    tasks_finished: IntCounterVec,
    task_duration: HistogramVec,
    tasks_running: IntGauge,
    leases_lost: IntCounter,
    task_depth: IntGaugeVec,
    task_oldest_due: Gauge,
    task_dead_rows: IntGauge,
    effects: IntCounterVec,
    provider_requests: IntCounterVec,
    provider_duration: HistogramVec,
    imported: IntCounterVec,
    webhooks: IntCounterVec,
    limits_refused: IntCounterVec,
    shared_limits_away: IntGauge,
    screened: IntCounterVec,
    chunks_embedded: IntCounter,
    chunks_refused: IntCounter,
    connections: IntGaugeVec,
    approvals: IntCounterVec,
    sync_lag: HistogramVec,
}

/// In place of a route's template.
pub const UNMATCHED: &str = "unmatched";

/// Seconds, from a cache hit to a slow model.
const BUCKETS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

/// Seconds, from a notification to a day away.
const LAG_BUCKETS: &[f64] = &[
    1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0, 14_400.0, 86_400.0,
];

/// Counts one request in progress for as long as it lives, also when the request is dropped midway.
pub struct InProgress(IntGauge);

impl InProgress {
    fn of(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    /// # Panics
    /// When two metrics share a name or a name is malformed: a mistake in this file, found by any test.
    pub fn new() -> Self {
        let registry = Registry::new();
        let register = |collector: Box<dyn Collector>| {
            registry.register(collector).expect("names are unique");
        };
        let counter = |name: &str, help: &str| {
            let metric = IntCounter::new(name, help).expect("a sound name");
            register(Box::new(metric.clone()));
            metric
        };
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let metric = IntCounterVec::new(Opts::new(name, help), labels).expect("a sound name");
            register(Box::new(metric.clone()));
            metric
        };
        let gauge = |name: &str, help: &str| {
            let metric = IntGauge::new(name, help).expect("a sound name");
            register(Box::new(metric.clone()));
            metric
        };
        let histogram_options =
            |name: &str, help: &str| HistogramOpts::new(name, help).buckets(BUCKETS.to_vec());
        let histograms = |name: &str, help: &str, labels: &[&str]| {
            let metric =
                HistogramVec::new(histogram_options(name, help), labels).expect("a sound name");
            register(Box::new(metric.clone()));
            metric
        };
        let search_duration = Histogram::with_opts(histogram_options(
            "paraplanner_search_duration_seconds",
            "Time of one hybrid search in the database",
        ))
        .expect("a sound name");
        register(Box::new(search_duration.clone()));
        let task_depth = IntGaugeVec::new(
            Opts::new("paraplanner_tasks", "Live tasks by kind and state"),
            &["kind", "state"],
        )
        .expect("a sound name");
        register(Box::new(task_depth.clone()));
        let task_oldest_due = Gauge::new(
            "paraplanner_task_oldest_due_seconds",
            "How long the oldest task that could run has been due",
        )
        .expect("a sound name");
        register(Box::new(task_oldest_due.clone()));
        let connections = IntGaugeVec::new(
            Opts::new(
                "paraplanner_database_connections",
                "Connections of this process by share and state",
            ),
            &["share", "state"],
        )
        .expect("a sound name");
        register(Box::new(connections.clone()));
        register(Box::new(Process::new()));
        let sync_lag = HistogramVec::new(
            HistogramOpts::new(
                "paraplanner_sync_lag_seconds",
                "For how long a source had not been found up to date when it was, by source",
            )
            .buckets(LAG_BUCKETS.to_vec()),
            &["source"],
        )
        .expect("a sound name");
        register(Box::new(sync_lag.clone()));
        Self {
            http_requests: counters(
                "paraplanner_http_requests_total",
                "HTTP requests by method, route template and status",
                &["method", "route", "status"],
            ),
            http_duration: histograms(
                "paraplanner_http_request_duration_seconds",
                "Time until the reply began, by method and route template",
                &["method", "route"],
            ),
            http_in_progress: gauge(
                "paraplanner_http_requests_in_progress",
                "HTTP requests whose reply hasn't begun",
            ),
            panics: counter("paraplanner_panics_total", "Panics caught; each is a bug"),
            model_requests: counters(
                "paraplanner_model_requests_total",
                "Requests to chat and embedding models by purpose and outcome",
                &["purpose", "outcome"],
            ),
            model_duration: histograms(
                "paraplanner_model_request_duration_seconds",
                "Time of a model request until its last byte, by purpose",
                &["purpose"],
            ),
            model_tokens: counters(
                "paraplanner_model_tokens_total",
                "Tokens told by the model server, by direction",
                &["direction"],
            ),
            search_duration,
            leaks: counter(
                "paraplanner_assistant_leaks_total",
                "Runs that were stopped because the model repeated its instructions",
            ),
            accounts: counters(
                "paraplanner_accounts_total",
                "Exports and deletions of accounts that were seen through",
                &["what"],
            ),
            citations: counters(
                "paraplanner_citations_total",
                "Citations by whether their quote was found in the source",
                &["outcome"],
            ),
            tasks_finished: counters(
                "paraplanner_tasks_finished_total",
                "Task attempts by kind and outcome",
                &["kind", "outcome"],
            ),
            task_duration: histograms(
                "paraplanner_task_duration_seconds",
                "Time of a task attempt by kind",
                &["kind"],
            ),
            tasks_running: gauge(
                "paraplanner_tasks_running",
                "Tasks that run in this process",
            ),
            leases_lost: counter(
                "paraplanner_task_leases_lost_total",
                "Results dropped because another worker had taken the task over",
            ),
            task_depth,
            task_oldest_due,
            task_dead_rows: gauge(
                "paraplanner_task_dead_rows",
                "Dead rows of the table of live tasks that vacuum has yet to remove, estimated",
            ),
            effects: counters(
                "paraplanner_effects_total",
                "Effects on the outside world by action and what came of a step of them",
                &["action", "outcome"],
            ),
            provider_requests: counters(
                "paraplanner_provider_requests_total",
                "Calls to Google and HubSpot by operation and outcome, each attempt",
                &["provider", "operation", "outcome"],
            ),
            provider_duration: histograms(
                "paraplanner_provider_request_duration_seconds",
                "Time of an attempt to call Google or HubSpot until its last byte",
                &["provider", "operation"],
            ),
            webhooks: counters(
                "paraplanner_webhooks_total",
                "Deliveries of providers by source and what came of them",
                &["source", "outcome"],
            ),
            limits_refused: counters(
                "paraplanner_limits_refused_total",
                "What was sent away because there was too much of it, by limit",
                &["limit"],
            ),
            shared_limits_away: gauge(
                "paraplanner_shared_limits_away",
                "1 while REDIS_URL is set and its server can't be asked",
            ),
            screened: counters(
                "paraplanner_input_screened_total",
                "Texts of requests that look like an injection, by rule; none is refused",
                &["rule"],
            ),
            imported: counters(
                "paraplanner_imported_items_total",
                "Items of imported files by outcome",
                &["outcome"],
            ),
            chunks_embedded: counter(
                "paraplanner_chunks_embedded_total",
                "Passages that were given a vector",
            ),
            chunks_refused: counter(
                "paraplanner_chunks_refused_total",
                "Passages that the embedding model refuses; they are found by their words only",
            ),
            connections,
            approvals: counters(
                "paraplanner_approvals_total",
                "What was put before users, and what they decided, by action and state",
                &["action", "state"],
            ),
            sync_lag,
            registry,
        }
    }

    pub fn http_in_progress(&self) -> InProgress {
        InProgress::of(&self.http_in_progress)
    }

    pub fn http_request(&self, method: &str, route: &str, status: u16, elapsed: Duration) {
        let class = status.to_string();
        // What strangers try is one thing, however they try it.
        let is_known = route != UNMATCHED;
        let method = if is_known { method } else { "other" };
        self.http_requests
            .with_label_values(&[method, route, class.as_str()])
            .inc();
        if !is_known {
            return;
        }
        self.http_duration
            .with_label_values(&[method, route])
            .observe(elapsed.as_secs_f64());
    }

    pub fn panic(&self) {
        self.panics.inc();
    }

    /// `purpose` is `chat` or `embedding`; `outcome` one of `providers::Error`'s kinds or `ok`.
    pub fn model_request(&self, purpose: &'static str, outcome: &'static str, elapsed: Duration) {
        self.model_requests
            .with_label_values(&[purpose, outcome])
            .inc();
        self.model_duration
            .with_label_values(&[purpose])
            .observe(elapsed.as_secs_f64());
    }

    pub fn model_tokens(&self, input: u64, output: u64) {
        self.model_tokens
            .with_label_values(&["input"])
            .inc_by(input);
        self.model_tokens
            .with_label_values(&["output"])
            .inc_by(output);
    }

    pub fn search(&self, elapsed: Duration) {
        self.search_duration.observe(elapsed.as_secs_f64());
    }

    /// The model was made to repeat its instructions.
    pub fn leak(&self) {
        self.leaks.inc();
    }

    /// `export` or `deletion`.
    pub fn account(&self, what: &'static str) {
        self.accounts.with_label_values(&[what]).inc();
    }

    pub fn citations(&self, kept: u64, dropped: u64) {
        self.citations.with_label_values(&["kept"]).inc_by(kept);
        self.citations
            .with_label_values(&["dropped"])
            .inc_by(dropped);
    }

    pub fn task_running(&self) -> InProgress {
        InProgress::of(&self.tasks_running)
    }

    /// Shown from the start: recurring work comes by itself, and its first run makes no new series.
    pub fn routine_exists(&self, kind: &'static str) {
        self.tasks_finished.with_label_values(&[kind, "done"]);
        self.task_duration.with_label_values(&[kind]);
    }

    pub fn task_finished(&self, kind: &'static str, outcome: &'static str, elapsed: Duration) {
        self.tasks_finished
            .with_label_values(&[kind, outcome])
            .inc();
        self.task_duration
            .with_label_values(&[kind])
            .observe(elapsed.as_secs_f64());
    }

    pub fn lease_lost(&self) {
        self.leases_lost.inc();
    }

    pub fn effect(&self, action: &str, outcome: &'static str) {
        self.effects.with_label_values(&[action, outcome]).inc();
    }

    /// `outcome` is one of `providers::Error`'s kinds or `ok`.
    pub fn provider_request(
        &self,
        provider: &'static str,
        operation: &'static str,
        outcome: &'static str,
        elapsed: Duration,
    ) {
        self.provider_requests
            .with_label_values(&[provider, operation, outcome])
            .inc();
        self.provider_duration
            .with_label_values(&[provider, operation])
            .observe(elapsed.as_secs_f64());
    }

    /// Before a new count of the queue.
    pub fn clear_task_depths(&self) {
        self.task_depth.reset();
    }

    pub fn add_task_depth(&self, kind: &str, state: &'static str, count: i64) {
        self.task_depth.with_label_values(&[kind, state]).add(count);
    }

    pub fn task_queue(&self, oldest_due_secs: f64, dead_rows: i64) {
        self.task_oldest_due.set(oldest_due_secs);
        self.task_dead_rows.set(dead_rows);
    }

    /// A delivery of a provider's.
    pub fn webhook(&self, source: &'static str, outcome: &'static str) {
        self.webhooks.with_label_values(&[source, outcome]).inc();
    }

    /// Shown from the start, so that the first refusal is a change.
    pub fn limit_exists(&self, limit: &'static str) {
        self.limits_refused.with_label_values(&[limit]);
    }

    /// One of `limits`' limits refused something.
    pub fn limit_refused(&self, limit: &'static str) {
        self.limits_refused.with_label_values(&[limit]).inc();
    }

    pub fn shared_limits_away(&self, away: bool) {
        self.shared_limits_away.set(i64::from(away));
    }

    /// A text matched a rule of `http::screen`.
    pub fn screened(&self, rule: &'static str) {
        self.screened.with_label_values(&[rule]).inc();
    }

    pub fn imported(&self, new: u64, unchanged: u64, unreadable: u64) {
        for (outcome, count) in [
            ("new", new),
            ("unchanged", unchanged),
            ("unreadable", unreadable),
        ] {
            self.imported.with_label_values(&[outcome]).inc_by(count);
        }
    }

    pub fn embedded(&self, chunks: u64, refused: u64) {
        self.chunks_embedded.inc_by(chunks);
        self.chunks_refused.inc_by(refused);
    }

    /// A source was found up to date, so long after the time before.
    pub fn sync_lag(&self, source: &'static str, lag: Duration) {
        self.sync_lag
            .with_label_values(&[source])
            .observe(lag.as_secs_f64());
    }

    /// Something waits for the user (`pending`), or they have decided.
    pub fn approval(&self, action: &str, state: &str) {
        self.approvals.with_label_values(&[action, state]).inc();
    }

    /// A pool as it is now.
    pub fn pool(&self, share: &'static str, used: u32, idle: u32) {
        for (state, count) in [("used", used), ("idle", idle)] {
            self.connections
                .with_label_values(&[share, state])
                .set(count.into());
        }
    }

    /// Everything as Prometheus text.
    pub fn text(&self) -> Result<String, prometheus::Error> {
        let mut buffer = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut buffer)?;
        Ok(String::from_utf8_lossy(&buffer).into_owned())
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
