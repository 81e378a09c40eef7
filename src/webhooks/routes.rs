//! `/api/webhook-events`: what came in for a user, and what it came to.

use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::inbox::{self, Stored};
use super::{Delivered, PROVIDERS};
use crate::db::Scoped;
use crate::events;
use crate::http::{CurrentUser, Cursor, Json, Page, PageQuery, Path, Problem, ProblemBody, Query};
use crate::state::App;
use crate::tasks::Enqueue;

const HUBSPOT: &str = "hubspot";
/// Events of one delivery.
const SHOWN: i64 = 100;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get))
        .routes(routes!(replay))
}

/// One change that a provider told us of.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct DeliveryBody {
    id: Uuid,
    #[schema(value_type = Sender)]
    provider: String,
    /// In the provider's own words.
    #[serde(rename = "type")]
    kind: String,
    /// `pending` until it has been acted upon.
    #[schema(value_type = DeliveryState)]
    state: &'static str,
    /// Always: what isn't verified isn't stored.
    verified: bool,
    #[schema(value_type = VerifiedBy)]
    verified_by: String,
    /// What it is about, by the provider's ids.
    object: Option<Object>,
    occurred_at: Option<DateTime<Utc>>,
    received_at: DateTime<Utc>,
    handled_at: Option<DateTime<Utc>>,
    /// What it brought about: the task that acted upon it, and the events that followed, a hundred at
    /// most.
    caused: Vec<Caused>,
    /// As it came.
    content: Value,
}

/// Who told us.
#[derive(utoipa::ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "describes the contract")]
enum Sender {
    Hubspot,
    Gmail,
    Calendar,
}

/// Whether it has been acted upon.
#[derive(utoipa::ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "describes the contract")]
enum DeliveryState {
    Pending,
    Done,
}

/// By what a delivery was known to be genuine.
#[derive(utoipa::ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "describes the contract")]
enum VerifiedBy {
    HubspotV3,
    HubspotV2,
    HubspotV1,
    GoogleToken,
    ChannelSecret,
}

/// What a delivery brought about.
#[derive(utoipa::ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "describes the contract")]
enum CausedKind {
    Task,
    Event,
}

/// The task that acts upon it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Replayed)]
struct Again {
    task_id: Uuid,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = DeliveryObject)]
struct Object {
    kind: Option<String>,
    ids: Vec<String>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Caused {
    #[schema(value_type = CausedKind)]
    kind: &'static str,
    id: Uuid,
    /// Of an event.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// Only what this provider told.
    #[param(value_type = Option<Sender>, inline)]
    provider: Option<String>,
    /// Only what has been acted upon, or what hasn't.
    #[param(value_type = Option<DeliveryState>, inline)]
    state: Option<String>,
}

/// What came in, newest first.
#[utoipa::path(get, path = "/api/webhook-events", tag = "webhooks", params(PageQuery, Filter), responses(
    (status = 200, body = Page<DeliveryBody>), (status = 401, body = ProblemBody),
    (status = 422, body = ProblemBody)))]
async fn list(
    State(app): State<App>,
    CurrentUser(scope): CurrentUser,
    Query(page): Query<PageQuery>,
    Query(filter): Query<Filter>,
) -> Result<Json<Page<DeliveryBody>>, Problem> {
    let (limit, cursor) = page.parse()?;
    let provider = filter.provider.as_deref();
    if provider.is_some_and(|provider| !PROVIDERS.contains(&provider)) {
        let known = PROVIDERS.join(", ");
        return Err(Problem::invalid(
            "provider",
            format!("must be one of {known}"),
        ));
    }
    let handled = match filter.state.as_deref() {
        None => None,
        Some("pending") => Some(false),
        Some("done") => Some(true),
        Some(_) => return Err(Problem::invalid("state", "must be pending or done")),
    };
    let mut tx = scope.begin(&app.pool).await?;
    let before = cursor.map(|cursor| cursor.id);
    let rows = inbox::list(&mut tx, provider, handled, limit, before).await?;
    let bodies = bodies(&mut tx, rows).await?;
    Ok(Json(Page::of(bodies, limit, |body: &DeliveryBody| {
        Cursor {
            at: body.received_at,
            id: body.id,
        }
    })))
}

/// One of them.
#[utoipa::path(get, path = "/api/webhook-events/{id}", tag = "webhooks", params(("id" = Uuid, Path)), responses(
    (status = 200, body = DeliveryBody), (status = 401, body = ProblemBody), (status = 404, body = ProblemBody)))]
async fn get(
    State(app): State<App>,
    CurrentUser(scope): CurrentUser,
    Path(id): Path<Uuid>,
) -> Result<Json<DeliveryBody>, Problem> {
    let mut tx = scope.begin(&app.pool).await?;
    let row = inbox::find(&mut tx, id).await?;
    let body = bodies(&mut tx, row.into_iter().collect()).await?.pop();
    body.map(Json).ok_or_else(Problem::not_found)
}

/// Acts upon it once more. Safe: what is fetched is what is true now, and an event happens once.
#[utoipa::path(post, path = "/api/webhook-events/{id}/replay", tag = "webhooks", params(("id" = Uuid, Path)),
    responses((status = 202, body = Again), (status = 401, body = ProblemBody), (status = 404, body = ProblemBody)))]
async fn replay(
    State(app): State<App>,
    CurrentUser(scope): CurrentUser,
    Path(id): Path<Uuid>,
) -> Result<(StatusCode, Json<Again>), Problem> {
    let mut tx = scope.begin(&app.pool).await?;
    let provider = inbox::reopen(&mut tx, id)
        .await?
        .ok_or_else(Problem::not_found)?;
    let once = Enqueue {
        unique_key: Some(provider.clone()),
        caused_by: Some(json!({"kind": "webhook_event", "id": id})),
        ..Enqueue::default()
    };
    let task_id = app
        .tasks
        .enqueue(&mut tx, &Delivered { provider }, once)
        .await?;
    tx.commit().await?;
    app.tasks.wake();
    Ok((StatusCode::ACCEPTED, Json(Again { task_id })))
}

async fn bodies(tx: &mut Scoped, rows: Vec<Stored>) -> Result<Vec<DeliveryBody>, sqlx::Error> {
    // Google names no item, so what its look brought about is what was caused.
    let looks = rows.iter().filter(|row| row.provider != HUBSPOT);
    let tasks: Vec<Uuid> = looks.filter_map(|row| row.task_id).collect();
    let of_tasks = inbox::events_of_tasks(tx, &tasks, SHOWN).await?;
    let all: Vec<Uuid> = rows
        .iter()
        .flat_map(|row| &row.event_ids)
        .chain(of_tasks.values().flatten())
        .copied()
        .collect();
    let names = events::names(tx, &all).await?;
    let nothing = Vec::new();
    Ok(rows
        .into_iter()
        .map(|row| {
            let found = match (row.provider.as_str(), row.task_id) {
                (HUBSPOT, _) | (_, None) => &row.event_ids,
                (_, Some(task)) => of_tasks.get(&task).unwrap_or(&nothing),
            };
            let task = row.task_id.map(|id| Caused {
                kind: "task",
                id,
                name: None,
            });
            let events = found.iter().filter_map(|id| {
                Some(Caused {
                    kind: "event",
                    id: *id,
                    name: Some(names.get(id)?.clone()),
                })
            });
            let has_object = !row.object_ids.is_empty();
            DeliveryBody {
                id: row.id,
                caused: task.into_iter().chain(events).collect(),
                provider: row.provider,
                kind: row.kind,
                state: if row.handled_at.is_some() {
                    "done"
                } else {
                    "pending"
                },
                verified: true,
                verified_by: row.verified_by,
                object: has_object.then_some(Object {
                    kind: Some(row.object_kind).filter(|kind| !kind.is_empty()),
                    ids: row.object_ids,
                }),
                occurred_at: row.occurred_at,
                received_at: row.received_at,
                handled_at: row.handled_at,
                content: row.content,
            }
        })
        .collect())
}
