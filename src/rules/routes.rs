//! `/api/rules`: standing instructions, and their rehearsal.

use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::engine::asks;
use super::grammar::{self, Rule, parse};
use super::plain::is_plain;
use super::rehearsal::{Rehearsal, rehearse};
use super::store::{self, Stored};
use crate::http::{CurrentUser, Cursor, Json, Page, PageQuery, Path, Problem, ProblemBody};
use crate::identity::MayApprove;
use crate::ids;
use crate::llm;
use crate::state::App;

/// More than anybody keeps in mind.
pub(super) const MOST_RULES: i64 = 1000;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, put, delete))
        .routes(routes!(preview))
}

/// A rule, and what its text was understood as.
#[derive(Debug, Default, Serialize, utoipa::ToSchema)]
pub(super) struct RuleBody {
    id: Option<Uuid>,
    text: String,
    enabled: bool,
    #[schema(value_type = RuleAutonomy)]
    autonomy: String,
    /// `gmail.message.received`; null, like all of what follows, when the text can't be read any more.
    trigger: Option<String>,
    /// `from=*@example.com and is_reply=no`; null when it acts always.
    condition: Option<String>,
    /// The first action's name.
    action: Option<String>,
    /// The first action's parameters, as written.
    #[schema(value_type = Option<HashMap<String, String>>)]
    parameters: Option<serde_json::Map<String, Value>>,
    /// All actions, each in the grammar.
    actions: Vec<String>,
    created_at: Option<DateTime<Utc>>,
    last_matched_at: Option<DateTime<Utc>>,
    match_count: i64,
    /// Why it was switched off by itself; none when it wasn't.
    notice: Option<String>,
}

/// `auto`: what the rule does outside needs no approval.
#[derive(utoipa::ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "describes the contract")]
enum RuleAutonomy {
    Inherit,
    Auto,
}

impl RuleBody {
    /// A rule that is only thought of.
    pub(super) fn unsaved(text: String, rule: &Rule) -> Self {
        Self {
            text,
            autonomy: inherit(),
            ..Self::default()
        }
        .understood(rule)
    }

    /// What the text was understood as.
    fn understood(mut self, rule: &Rule) -> Self {
        let triggers: Vec<String> = rule.triggers.iter().map(ToString::to_string).collect();
        let first = rule.actions.first();
        self.trigger = Some(triggers.join(" or "));
        self.condition = rule.condition.as_ref().map(ToString::to_string);
        self.action = first.map(|action| action.name().to_string());
        self.parameters = first.map(parameters);
        self.actions = rule.actions.iter().map(ToString::to_string).collect();
        self
    }
}

/// As written, in canonical form.
fn parameters(action: &grammar::Action) -> serde_json::Map<String, Value> {
    let written = action.parameters().into_iter();
    written
        .map(|(name, value)| (name.to_owned(), Value::from(value)))
        .collect()
}

impl From<Stored> for RuleBody {
    fn from(stored: Stored) -> Self {
        let rule = parse(&stored.text).ok();
        let body = Self {
            id: Some(stored.id),
            text: stored.text,
            enabled: stored.enabled,
            autonomy: stored.autonomy,
            created_at: Some(stored.created_at),
            last_matched_at: stored.last_matched_at,
            match_count: stored.match_count,
            notice: stored.notice,
            ..Self::default()
        };
        match &rule {
            Some(rule) => body.understood(rule),
            None => body,
        }
    }
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
struct PutRule {
    text: String,
    #[serde(default = "on")]
    enabled: bool,
    #[serde(default = "inherit")]
    #[schema(value_type = RuleAutonomy)]
    autonomy: String,
}

const fn on() -> bool {
    true
}

fn inherit() -> String {
    "inherit".to_owned()
}

impl PutRule {
    fn check(&self, app: &App, may_approve: &MayApprove) -> Result<(), Problem> {
        read(app, &self.text).map_err(|words| {
            let hint = "plain words become a rule at POST /api/rules/preview";
            let words = if is_plain(&self.text) {
                format!("{words}; {hint}")
            } else {
                words
            };
            Problem::invalid("text", words)
        })?;
        if !["inherit", "auto"].contains(&self.autonomy.as_str()) {
            return Err(Problem::invalid("autonomy", "must be inherit or auto"));
        }
        // Such a rule approves in advance.
        if self.autonomy == "auto" && !may_approve.0 {
            return Err(Problem::forbidden("this token can't approve")
                .detail("it needs the scope approve, or sign in and do it in person"));
        }
        Ok(())
    }

    fn parts(&self) -> (&str, bool, &str) {
        (self.text.trim(), self.enabled, &self.autonomy)
    }
}

/// A rule that can be carried out here.
pub(super) fn read(app: &App, text: &str) -> Result<Rule, String> {
    let rule = parse(text).map_err(|error| error.message)?;
    if rule.condition.as_ref().is_some_and(asks) && llm::chat_model(app).is_none() {
        return Err("judge \"…\" needs a language model, and none is configured".to_owned());
    }
    Ok(rule)
}

/// The user's rules, newest first.
#[utoipa::path(get, path = "/api/rules", tag = "rules", params(PageQuery), responses(
    (status = 200, body = Page<RuleBody>), (status = 401, body = ProblemBody), (status = 422, body = ProblemBody)))]
async fn list(
    State(app): State<App>,
    CurrentUser(scope): CurrentUser,
    crate::http::Query(page): crate::http::Query<PageQuery>,
) -> Result<Json<Page<RuleBody>>, Problem> {
    let (limit, cursor) = page.parse()?;
    let mut tx = scope.begin(&app.pool).await?;
    let rows = store::list(&mut tx, limit, cursor.map(|cursor| cursor.id)).await?;
    Ok(Json(Page::of(
        rows.into_iter().map(RuleBody::from).collect(),
        limit,
        |body: &RuleBody| Cursor {
            at: body.created_at.unwrap_or_default(),
            id: body.id.unwrap_or_default(),
        },
    )))
}

/// Saves a rule. A text that can't be read is answered with the column where it stops making sense.
#[utoipa::path(post, path = "/api/rules", tag = "rules", responses(
    (status = 201, body = RuleBody), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody),
    (status = 403, body = ProblemBody), (status = 409, body = ProblemBody), (status = 415, body = ProblemBody),
    (status = 422, body = ProblemBody)))]
async fn create(
    State(app): State<App>,
    CurrentUser(scope): CurrentUser,
    may_approve: MayApprove,
    Json(asked): Json<PutRule>,
) -> Result<(StatusCode, Json<RuleBody>), Problem> {
    asked.check(&app, &may_approve)?;
    let mut tx = scope.begin(&app.pool).await?;
    if store::count(&mut tx).await? >= MOST_RULES {
        return Err(Problem::conflict("there are too many rules"));
    }
    let id = ids::next();
    store::insert(&mut tx, id, asked.parts(), app.clock.now()).await?;
    let stored = store::find(&mut tx, id)
        .await?
        .ok_or_else(Problem::not_found)?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(stored.into())))
}

/// One rule.
#[utoipa::path(get, path = "/api/rules/{id}", tag = "rules", params(("id" = Uuid, Path)), responses(
    (status = 200, body = RuleBody), (status = 401, body = ProblemBody), (status = 404, body = ProblemBody)))]
async fn get(
    State(app): State<App>,
    CurrentUser(scope): CurrentUser,
    Path(id): Path<Uuid>,
) -> Result<Json<RuleBody>, Problem> {
    let mut tx = scope.begin(&app.pool).await?;
    let stored = store::find(&mut tx, id)
        .await?
        .ok_or_else(Problem::not_found)?;
    Ok(Json(stored.into()))
}

/// Writes a rule anew.
#[utoipa::path(put, path = "/api/rules/{id}", tag = "rules", params(("id" = Uuid, Path)), responses(
    (status = 200, body = RuleBody), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody),
    (status = 403, body = ProblemBody), (status = 404, body = ProblemBody), (status = 415, body = ProblemBody),
    (status = 422, body = ProblemBody)))]
async fn put(
    State(app): State<App>,
    CurrentUser(scope): CurrentUser,
    Path(id): Path<Uuid>,
    may_approve: MayApprove,
    Json(asked): Json<PutRule>,
) -> Result<Json<RuleBody>, Problem> {
    let mut tx = scope.begin(&app.pool).await?;
    store::find(&mut tx, id)
        .await?
        .ok_or_else(Problem::not_found)?;
    asked.check(&app, &may_approve)?;
    store::update(&mut tx, id, asked.parts(), app.clock.now()).await?;
    let stored = store::find(&mut tx, id)
        .await?
        .ok_or_else(Problem::not_found)?;
    tx.commit().await?;
    Ok(Json(stored.into()))
}

/// Ends a rule. What it has done stays.
#[utoipa::path(delete, path = "/api/rules/{id}", tag = "rules", params(("id" = Uuid, Path)), responses(
    (status = 204), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody),
    (status = 404, body = ProblemBody)))]
async fn delete(
    State(app): State<App>,
    CurrentUser(scope): CurrentUser,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, Problem> {
    let mut tx = scope.begin(&app.pool).await?;
    if !store::delete(&mut tx, id).await? {
        return Err(Problem::not_found());
    }
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
struct Rehearse {
    text: String,
    /// A week ago when it is left out.
    since: Option<DateTime<Utc>>,
}

/// What a rule would have done about what happened. Nothing is done. Plain words are turned into a rule by the
/// model first, where one is configured: save the text that `rule` has then.
#[utoipa::path(post, path = "/api/rules/preview", tag = "rules", responses(
    (status = 200, body = Rehearsal), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody),
    (status = 403, body = ProblemBody), (status = 415, body = ProblemBody), (status = 422, body = ProblemBody),
    (status = 429, body = ProblemBody), (status = 502, body = ProblemBody)))]
async fn preview(
    State(app): State<App>,
    CurrentUser(scope): CurrentUser,
    Json(asked): Json<Rehearse>,
) -> Result<Json<Rehearsal>, Problem> {
    rehearse(&app, &scope, &asked.text, asked.since)
        .await
        .map(Json)
}
