//! Wiring: config → database → [`App`] → router and worker → run → stop. The one place that knows
//! everybody. `main` and every test start here; the address comes back, so port 0 works.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::{Extension, Router};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};
use tower_http::timeout::RequestBodyTimeoutLayer;
use url::Url;
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;

use crate::clock::Clock;
use crate::config::Config;
use crate::db::Database;
use crate::http::contract::complete;
use crate::http::peer::{Proxies, remember_peer};
use crate::http::{middleware, server};
use crate::identity::{connections, settings};
use crate::limits::Limits;
use crate::live::Live;
use crate::providers::google::Google;
use crate::providers::hubspot::HubSpot;
use crate::providers::{self, local, openai};
use crate::secret::{self, Keyring};
use crate::state::{App, Memory};
use crate::tasks::{Keep, Queue, Registry, Tasks, TidyTasks, Worker, WorkerSettings};
use crate::telemetry::Metrics;
use crate::{
    account, activity, agent, book, chat, demo_clock, demo_letter, effects, events, identity,
    ingest, limits, live, llm, mcp, operations, page, retrieval, rules, tasks, webhooks,
};

/// Until a reply begins, uploads and whole answers apart.
const REPLY_TIMEOUT: Duration = Duration::from_secs(30);
/// Between two pieces of a request's body.
const BODY_PROGRESS: Duration = Duration::from_secs(30);
/// `/ready` says no this long before connections are refused, so that a balancer notices.
const DRAIN: Duration = Duration::from_secs(1);
/// For running requests.
const GRACE: Duration = Duration::from_secs(25);
/// For running tasks: their leases are given back within the requests' grace.
const TASK_GRACE: Duration = Duration::from_secs(20);

#[derive(utoipa::OpenApi)]
#[openapi(info(
    title = "Paraplanner",
    description = "The open-source AI paraplanner. A signed-in browser's session or an API token says who asks. \
                   Errors are `application/problem+json`; what the user may not see is a 404. Lists take `limit` and \
                   `cursor`. docs/frontend.md tells what isn't obvious from here."
))]
struct Contract;

/// Every route with its documentation.
fn routes() -> (Router<App>, utoipa::openapi::OpenApi) {
    let ordinary = OpenApiRouter::with_openapi(Contract::openapi())
        .merge(operations::router())
        .merge(identity::routes::router())
        .merge(tasks::routes::router())
        .merge(activity::routes::router())
        .merge(live::routes::router())
        .merge(book::routes::router())
        .merge(effects::routes::router())
        .merge(webhooks::router())
        .merge(retrieval::routes::router())
        .merge(ingest::routes::router())
        .merge(llm::routes::router())
        .merge(rules::routes::router())
        .merge(account::routes::router())
        .merge(demo_letter::router())
        .merge(chat::routes::router())
        .merge(demo_clock::router())
        .merge(mcp::router())
        .layer(from_fn_with_state(REPLY_TIMEOUT, middleware::timeout));
    let (router, mut contract) = ordinary
        .merge(ingest::routes::upload_router())
        .merge(chat::routes::waiting_router())
        .split_for_parts();
    complete(&mut contract, limits::Class::entrance);
    (router, contract)
}

/// The contract as `/openapi.json` publishes it.
pub fn contract() -> serde_json::Value {
    operations::contract::publish(&routes().1)
}

/// Which kinds of task this program does; a new kind is a line here.
fn handlers() -> Registry<App> {
    Registry::default()
        .with::<ingest::ImportDocuments>()
        .with::<ingest::SweepUploads>()
        .with::<ingest::FillDemoBook>()
        .with::<connections::Connected>()
        .with::<ingest::SyncGmail>()
        .with::<ingest::SyncCalendar>()
        .with::<ingest::SyncContacts>()
        .with::<ingest::SyncNotes>()
        .with::<ingest::SyncDeals>()
        .with::<webhooks::Delivered>()
        .with::<connections::KeepWatches>()
        .with::<settings::ScopeChanged>()
        .with::<retrieval::Embed>()
        .with::<events::Happened>()
        .with::<rules::WelcomeEmail>()
        .with::<rules::FollowUp>()
        .with::<rules::ProcessEmail>()
        .with::<rules::MeetingBrief>()
        .with::<rules::Generic>()
        .with::<rules::CreateContact>()
        .with::<rules::CreateNote>()
        .with::<rules::DraftReply>()
        .with::<rules::SendEmail>()
        .with::<rules::AskAssistant>()
        .with::<rules::Judge>()
        .with::<effects::Undo>()
        .with::<agent::AssistantRun>()
        .with::<agent::Said>()
        .with::<agent::Reminder>()
        .routine::<TidyTasks>()
        .routine::<ingest::LookForChanges>()
        .routine::<ingest::NoteUpcoming>()
        .routine::<connections::RevokeOwed>()
        .routine::<connections::Reseal>()
        .routine::<connections::RenewWatches>()
        .routine::<retrieval::TendIndexes>()
}

/// What a process is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Serves the API and the page, and works unless told otherwise.
    Server,
    /// Only works; its address answers operators alone.
    Worker,
}

fn router(app: &App, role: Role) -> anyhow::Result<Router> {
    let (api, described) = routes();
    let open = match role {
        Role::Server => {
            let contract = operations::contract::publish(&described);
            api.merge(operations::docs(&contract)?)
                .merge(page::router())
        }
        Role::Worker => operations::router().into(),
    };
    let open = if app.fail_points.is_empty() {
        open
    } else {
        open.route_layer(from_fn_with_state(
            app.fail_points.clone(),
            middleware::fail,
        ))
    };
    let metrics = app.metrics.clone();
    let proxies = Proxies::new(&app.config.limits.trusted_proxies);
    let frontend = app.frontend_url.origin().ascii_serialization();
    let cors = CorsLayer::new()
        .allow_origin(AllowOrigin::list([
            HeaderValue::from_str(&frontend).context("FRONTEND_URL as a header value")?
        ]))
        .allow_credentials(true)
        .allow_methods([
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ])
        .allow_headers([
            CONTENT_TYPE,
            AUTHORIZATION,
            HeaderName::from_static("x-request-id"),
            HeaderName::from_static("mcp-protocol-version"),
            HeaderName::from_static("mcp-method"),
            HeaderName::from_static("mcp-name"),
        ])
        .expose_headers([
            HeaderName::from_static("x-request-id"),
            HeaderName::from_static("retry-after"),
        ]);
    Ok(open
        .layer(Extension(webhooks::Intake::open(app)))
        .fallback(middleware::not_found)
        .method_not_allowed_fallback(middleware::method_not_allowed)
        .layer(from_fn_with_state(app.clone(), identity::authorize))
        .layer(from_fn_with_state(app.clone(), limits::admit))
        .layer(from_fn_with_state(app.clone(), identity::authenticate))
        .layer(from_fn_with_state(proxies, remember_peer))
        .route_layer(from_fn(middleware::remember_route))
        .layer(RequestBodyTimeoutLayer::new(BODY_PROGRESS))
        .layer(CatchPanicLayer::custom(
            move |panic: Box<dyn std::any::Any + Send>| {
                middleware::on_panic(&metrics, panic.as_ref())
            },
        ))
        .layer(cors)
        .layer(from_fn_with_state(
            app.is_https(),
            middleware::security_headers,
        ))
        .layer(from_fn_with_state(app.metrics.clone(), middleware::edge))
        .with_state(app.clone()))
}

/// Builds what everything is given. `address` is where the server listens, if it does.
pub fn build(config: Config, database: &Database, address: SocketAddr) -> anyhow::Result<App> {
    let own = Url::parse(&format!("http://localhost:{}", address.port()))?;
    let public_url = config.server.public_url.clone().unwrap_or(own);
    let frontend_url = config
        .server
        .frontend_url
        .clone()
        .unwrap_or_else(|| public_url.clone());
    let http = providers::http::client()?;
    let model_server = config
        .model
        .server
        .as_ref()
        .map(|settings| openai::Client::new(http.clone(), settings))
        .transpose()?;
    let clock = Clock::default();
    let metrics = Metrics::new();
    let secret_key = match &config.secret_key {
        Some(key) => key.clone(),
        None => secret::kept_in(&config.database.data_dir)?,
    };
    let google = config.google.as_ref();
    let hubspot = config.hubspot.as_ref();
    Ok(App {
        pool: database.pools.api.clone(),
        pools: database.pools.clone(),
        tasks: Tasks::new(clock.clone()),
        limits: Limits::new(&config.limits, &metrics).context("REDIS_URL")?,
        clock,
        keys: Arc::new(Keyring::new(&config.token_keys, &secret_key)),
        secret_key,
        google: google.map(|settings| Arc::new(Google::new(&http, &metrics, settings))),
        hubspot: hubspot.map(|settings| Arc::new(HubSpot::new(&http, &metrics, settings))),
        http,
        metrics,
        live: Live::default(),
        fail_points: config.fail_points.clone(),
        model_server,
        local_embedder: local::Embedder::default(),
        public_url: Arc::new(public_url),
        frontend_url: Arc::new(frontend_url),
        stopping: CancellationToken::new(),
        halting: CancellationToken::new(),
        memory: Memory::default(),
        background: TaskTracker::new(),
        config: Arc::new(config),
    })
}

/// What a worker over this database needs beyond its handlers.
pub fn worker_settings(app: &App, database: &Database) -> WorkerSettings {
    let keep = Keep {
        done_days: app.config.worker.keep_done_days,
        failed_days: app.config.worker.keep_failed_days,
    };
    WorkerSettings {
        queue: Queue::new(database.queue.clone(), app.clock.clone(), keep),
        pool: app.pools.worker.clone(),
        clock: app.clock.clone(),
        metrics: app.metrics.clone(),
        fail_points: app.fail_points.clone(),
        live: app.live.clone(),
        tasks: app.tasks.clone(),
        settings: app.config.worker,
        alone: database.is_ours(),
    }
}

/// The worker over the app's tasks.
pub fn worker(app: &App, database: &Database) -> Worker<App> {
    let own = App {
        pool: app.pools.worker.clone(),
        ..app.clone()
    };
    Worker::new(worker_settings(app, database), handlers(), own)
}

/// A running server.
pub struct Running {
    pub address: SocketAddr,
    pub app: App,
    database: Database,
    /// Ends the accepting of connections.
    close: CancellationToken,
    parts: TaskTracker,
}

/// Opens the database and serves; returns when the server listens.
pub async fn start(config: Config, listener: TcpListener, role: Role) -> anyhow::Result<Running> {
    let address = listener.local_addr()?;
    let database = Database::open(&config.database).await?;
    let app = build(config, &database, address)?;
    let router = router(&app, role)?;
    let proxies = Proxies::new(&app.config.limits.trusted_proxies);
    demo_clock::resume(&app).await?;
    app.background.spawn(demo_clock::listen(app.clone()));
    app.background
        .spawn(connections::reseal_at_start(app.clone()));
    app.background.spawn(retrieval::embed_at_start(app.clone()));
    app.background
        .spawn(app.limits.clone().keep_shared(app.stopping.clone()));
    let close = CancellationToken::new();
    let parts = TaskTracker::new();
    parts.spawn(server::serve(listener, router, proxies, close.clone()));
    if app.config.worker.enabled || role == Role::Worker {
        parts.spawn(worker(&app, &database).run(app.stopping.clone(), TASK_GRACE));
    }
    parts.close();
    Ok(Running {
        address,
        app,
        database,
        close,
        parts,
    })
}

impl Running {
    /// Stops in order: `/ready` says no, connections drain, requests and tasks end within the grace,
    /// what is left is cut off, the database stops.
    pub async fn stop(self) {
        tracing::info!("stopping");
        self.app.stopping.cancel();
        tokio::time::sleep(DRAIN).await;
        self.close.cancel();
        self.app.background.close();
        let all = async {
            self.parts.wait().await;
            self.app.background.wait().await;
        };
        tokio::pin!(all);
        if tokio::time::timeout(GRACE, all.as_mut()).await.is_err() {
            tracing::warn!("some work did not end in time and is cut off");
            self.app.halting.cancel();
            let _ = tokio::time::timeout(Duration::from_secs(3), all).await;
        }
        self.database.close().await;
    }
}
