//! `GET, PUT /api/settings`.

use axum::Extension;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{ScopeChanged, Settings, check, store};
use crate::db::Scoped;
use crate::http::middleware::RequestId;
use crate::http::{CurrentUser, Json, Problem, ProblemBody};
use crate::state::App;
use crate::tasks::Enqueue;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(get, put))
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct SettingsBody {
    #[serde(flatten)]
    settings: Settings,
    /// All addresses of the user's own: `own_addresses`, the sign-in's, the connected mailbox's.
    known_addresses: Vec<String>,
}

/// What is to change; what isn't there stays as it is.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
struct PutSettings {
    import_scope: Option<PutScope>,
    own_addresses: Option<Vec<String>>,
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
struct PutScope {
    labels: Option<Vec<String>>,
    never_senders: Option<Vec<String>>,
    never_domains: Option<Vec<String>>,
}

impl PutSettings {
    fn apply(self, to: &mut Settings) -> Result<(), Problem> {
        if let Some(scope) = self.import_scope {
            if let Some(labels) = scope.labels {
                to.import_scope.labels = check::labels("import_scope.labels", labels)?;
            }
            if let Some(senders) = scope.never_senders {
                to.import_scope.never_senders =
                    check::addresses("import_scope.never_senders", senders)?;
            }
            if let Some(domains) = scope.never_domains {
                to.import_scope.never_domains =
                    check::domains("import_scope.never_domains", domains)?;
            }
        }
        if let Some(own) = self.own_addresses {
            to.own_addresses = check::addresses("own_addresses", own)?;
        }
        Ok(())
    }
}

async fn body(tx: &mut Scoped, settings: Settings) -> Result<Json<SettingsBody>, Problem> {
    Ok(Json(SettingsBody {
        settings,
        known_addresses: store::own_addresses(tx).await?,
    }))
}

/// The user's settings.
#[utoipa::path(get, path = "/api/settings", tag = "settings", responses(
    (status = 200, body = SettingsBody), (status = 401, body = ProblemBody)))]
async fn get(
    State(app): State<App>,
    CurrentUser(scope): CurrentUser,
) -> Result<Json<SettingsBody>, Problem> {
    let mut tx = scope.begin(&app.pool).await?;
    let settings = store::find(&mut tx).await?;
    body(&mut tx, settings).await
}

/// Changes settings. A changed scope of import is applied at once, by a task.
#[utoipa::path(put, path = "/api/settings", tag = "settings", responses(
    (status = 200, body = SettingsBody), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody),
    (status = 403, body = ProblemBody), (status = 415, body = ProblemBody), (status = 422, body = ProblemBody)))]
async fn put(
    State(app): State<App>,
    CurrentUser(scope): CurrentUser,
    Extension(request_id): Extension<RequestId>,
    Json(asked): Json<PutSettings>,
) -> Result<Json<SettingsBody>, Problem> {
    let mut tx = scope.begin(&app.pool).await?;
    store::lock(&mut tx).await?;
    let before = store::find(&mut tx).await?;
    let mut settings = before.clone();
    asked.apply(&mut settings)?;
    store::put(&mut tx, &settings).await?;
    // Which mail is written to nobody but such people depends on whose addresses are the user's own.
    if settings != before {
        let once = Enqueue {
            unique_key: Some("import_scope".to_owned()),
            request_id: Some(request_id.0.to_string()),
            ..Enqueue::default()
        };
        app.tasks.enqueue(&mut tx, &ScopeChanged {}, once).await?;
    }
    let body = body(&mut tx, settings).await?;
    tx.commit().await?;
    app.tasks.wake();
    Ok(body)
}
