//! What operators and developers ask: `/health`, `/ready`, `/metrics`, `/openapi.json`, `/docs`.

pub mod contract;

use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::IntoResponse;
use axum::routing::get;
use serde::Serialize;
use serde_json::Value;
use subtle::ConstantTimeEq as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::Config;

use crate::db;
use crate::http::{Json, Path, Problem, ProblemBody};
use crate::state::App;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(health))
        .routes(routes!(ready))
        .routes(routes!(database))
        .routes(routes!(metrics))
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Health {
    #[schema(value_type = Alive)]
    status: &'static str,
    version: &'static str,
}

/// The process lives. Touches nothing.
#[utoipa::path(get, path = "/health", tag = "operations", responses((status = 200, body = Health)))]
async fn health() -> Json<Health> {
    Json(Health {
        status: "ok",
        version: env!("CARGO_PKG_VERSION"),
    })
}

/// The only answer.
#[derive(utoipa::ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "describes the contract")]
enum Alive {
    Ok,
}

/// What keeps an instance from serving.
#[derive(utoipa::ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "describes the contract")]
enum Missing {
    Database,
    Migrations,
    Worker,
    Stopping,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Ready {
    ready: bool,
    #[schema(value_type = Vec<Missing>)]
    missing: Vec<&'static str>,
}

/// Whether this instance can serve; 503 with what is missing otherwise.
#[utoipa::path(get, path = "/ready", tag = "operations", responses(
    (status = 200, body = Ready), (status = 503, body = Ready)))]
async fn ready(State(app): State<App>) -> impl IntoResponse {
    let mut missing = Vec::new();
    match tokio::time::timeout(Duration::from_secs(2), db::health(&app.pools)).await {
        Ok(Ok(health)) if health.migration < db::newest_migration() => missing.push("migrations"),
        Ok(Ok(_)) => {}
        Ok(Err(_)) | Err(_) => missing.push("database"),
    }
    if app.config.worker.enabled && !app.tasks.is_working() {
        missing.push("worker");
    }
    // Last: the stop may begin while the database is asked.
    if app.stopping.is_cancelled() {
        missing.push("stopping");
    }
    let status = if missing.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (
        status,
        Json(Ready {
            ready: missing.is_empty(),
            missing,
        }),
    )
}

/// How the database is.
#[utoipa::path(get, path = "/health/database", tag = "operations", responses(
    (status = 200, body = db::Health), (status = 503, body = ProblemBody)))]
async fn database(State(app): State<App>) -> Result<Json<db::Health>, Problem> {
    Ok(Json(db::health(&app.pools).await?))
}

/// Prometheus text; asks for `METRICS_TOKEN` as a bearer token when that is set.
#[utoipa::path(get, path = "/metrics", tag = "operations", responses(
    (status = 200, content_type = "text/plain", body = String), (status = 401, body = ProblemBody)))]
async fn metrics(State(app): State<App>, headers: HeaderMap) -> Result<impl IntoResponse, Problem> {
    if let Some(token) = &app.config.telemetry.metrics_token {
        let given = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.as_bytes().strip_prefix(b"Bearer "))
            .unwrap_or_default();
        if !bool::from(given.ct_eq(token.expose().as_bytes())) {
            return Err(Problem::unauthenticated());
        }
    }
    for (share, pool) in app.pools.shares() {
        let held = db::PoolUse::of(pool);
        app.metrics.pool(share, held.in_use, held.idle);
    }
    let text = app.metrics.text().map_err(Problem::internal)?;
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    Ok(([(CONTENT_TYPE, kind)], text))
}

/// The one style that Swagger UI writes into the page, that of its logo, is allowed by its hash.
const DOCS_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; \
     style-src 'self' 'sha256-RL3ie0nH+Lzz2YNqQN83mnU0J1ot4QL7b99vMdIX99w='; img-src 'self' data:; connect-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);

/// The contract and its interactive page, which Swagger UI makes; all of it from the binary.
pub fn docs(contract: &Value) -> anyhow::Result<Router<App>> {
    // Written once: whoever asks often costs no more than its bytes.
    let contract = Bytes::from(serde_json::to_vec(contract)?);
    let json = [(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    Ok(Router::new()
        .route(
            "/openapi.json",
            get(async move || (json.clone(), contract.clone())),
        )
        .route("/docs", get(async || docs_file("index.html")))
        .route("/docs/", get(async || docs_file("index.html")))
        .route(
            "/docs/{file}",
            get(async |Path(file): Path<String>| docs_file(&file)),
        ))
}

fn docs_file(name: &str) -> Result<impl IntoResponse + use<>, Problem> {
    let config = std::sync::Arc::new(Config::from("/openapi.json"));
    let file = utoipa_swagger_ui::serve(name, config)
        .map_err(|error| Problem::internal(anyhow::anyhow!("{error}")))?
        .ok_or_else(Problem::not_found)?;
    let kind = HeaderValue::from_str(&file.content_type).map_err(Problem::internal)?;
    let mut bytes = file.bytes.into_owned();
    if name == "index.html" {
        // The page stands at /docs as well as at /docs/, and its files are named relatively.
        let page = String::from_utf8_lossy(&bytes)
            .replace("href=\"./", "href=\"/docs/")
            .replace("href=\"index.css", "href=\"/docs/index.css")
            .replace("src=\"./", "src=\"/docs/");
        bytes = page.into_bytes();
    }
    let headers = [
        (CONTENT_TYPE, kind),
        (CONTENT_SECURITY_POLICY, DOCS_POLICY),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    Ok((headers, bytes))
}
