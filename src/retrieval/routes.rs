//! `POST /api/embeddings/search`.

use std::time::Instant;

use axum::extract::State;
use chrono::{DateTime, Datelike as _, Utc};
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::{SearchError, SearchRequest, search};
use crate::book::Kind;
use crate::http::{CurrentUser, Json, Problem, ProblemBody};
use crate::state::App;

const LONGEST_QUERY: usize = 4000;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(search_book))
}

/// What to look for.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
struct SearchBody {
    #[schema(min_length = 1, max_length = 4000)]
    query: String,
    /// Passages to return, 1 to 50; 8 when absent.
    #[schema(minimum = 1, maximum = 50, default = 8)]
    top_k: Option<i64>,
    /// Only these kinds; all when absent.
    kinds: Option<Vec<Kind>>,
    after: Option<DateTime<Utc>>,
    before: Option<DateTime<Utc>>,
    /// Only what this contact took part in.
    contact_id: Option<Uuid>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Found {
    items: Vec<Item>,
    took_ms: f64,
}

/// A passage.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Item {
    kind: Kind,
    source_id: Uuid,
    title: String,
    snippet: String,
    score: f64,
    occurred_at: Option<DateTime<Utc>>,
    url: String,
}

impl From<SearchError> for Problem {
    fn from(error: SearchError) -> Self {
        match error {
            SearchError::NoSuchContact => Self::not_found(),
            SearchError::Database(error) => error.into(),
        }
    }
}

/// Where the built-in page shows a source.
pub fn source_url(kind: Kind, source_id: Uuid) -> String {
    format!("/#/sources/{}/{source_id}", kind.name())
}

/// Hybrid search over the user's book.
#[utoipa::path(post, path = "/api/embeddings/search", tag = "retrieval", request_body = SearchBody, responses(
    (status = 200, body = Found), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody),
    (status = 404, body = ProblemBody), (status = 415, body = ProblemBody), (status = 422, body = ProblemBody)))]
async fn search_book(
    State(app): State<App>,
    CurrentUser(scope): CurrentUser,
    Json(body): Json<SearchBody>,
) -> Result<Json<Found>, Problem> {
    let started = Instant::now();
    if body.query.trim().is_empty() || body.query.len() > LONGEST_QUERY {
        return Err(Problem::invalid(
            "query",
            format!("must hold 1 to {LONGEST_QUERY} characters"),
        ));
    }
    let top_k = usize::try_from(body.top_k.unwrap_or(8))
        .ok()
        .filter(|count| (1..=50).contains(count))
        .ok_or_else(|| Problem::invalid("top_k", "must be from 1 to 50"))?;
    for (field, at) in [("after", body.after), ("before", body.before)] {
        if at.is_some_and(|at| !(1..=9999).contains(&at.year())) {
            return Err(Problem::invalid(field, "must be in the years 1 to 9999"));
        }
    }
    if let (Some(after), Some(before)) = (body.after, body.before)
        && after >= before
    {
        return Err(Problem::invalid("before", "must be later than after"));
    }
    let hits = search(
        &app,
        &scope,
        &SearchRequest {
            query: body.query,
            top_k,
            kinds: body.kinds.unwrap_or_default(),
            after: body.after,
            before: body.before,
            contact_id: body.contact_id,
        },
    )
    .await?;
    let items = hits
        .into_iter()
        .map(|hit| Item {
            url: source_url(hit.kind, hit.source_id),
            kind: hit.kind,
            source_id: hit.source_id,
            title: hit.title,
            snippet: hit.text,
            score: hit.score,
            occurred_at: hit.occurred_at,
        })
        .collect();
    Ok(Json(Found {
        items,
        took_ms: started.elapsed().as_secs_f64() * 1000.0,
    }))
}
