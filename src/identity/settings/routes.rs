//! `GET, PUT /api/settings`.

use axum::Extension;
use axum::extract::State;
use chrono::{DateTime, SubsecRound as _, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{
    AutoRecipients, Leave, ScopeChanged, SendUpdates, Settings, WorkingHours, budget_changed,
    check, resumed, store,
};
use crate::activity::{self, Actor, Why};
use crate::db::Scoped;
use crate::http::middleware::RequestId;
use crate::http::{CurrentUser, Json, Problem, ProblemBody};
use crate::identity::MayApprove;
use crate::live::Topic;
use crate::state::App;
use crate::tasks::Enqueue;

/// Above what any plan pays for in a day.
const MOST_TOKENS: i64 = 1_000_000_000;

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
    time_zone: Option<String>,
    working_hours: Option<WorkingHours>,
    autonomy: Option<PutAutonomy>,
    auto_recipients: Option<AutoRecipients>,
    instructions: Option<String>,
    send_updates: Option<SendUpdates>,
    daily_token_budget: Option<i64>,
    paused: Option<bool>,
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
struct PutScope {
    labels: Option<Vec<String>>,
    never_senders: Option<Vec<String>>,
    never_domains: Option<Vec<String>>,
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
struct PutAutonomy {
    send_email: Option<Leave>,
    create_event: Option<Leave>,
    write_crm: Option<Leave>,
}

impl PutSettings {
    fn apply(self, to: &mut Settings, now: DateTime<Utc>) -> Result<(), Problem> {
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
        if let Some(name) = self.time_zone {
            to.time_zone = name.parse().map_err(|_| {
                Problem::invalid("time_zone", "must be a name such as Europe/Berlin")
            })?;
        }
        if let Some(mut hours) = self.working_hours {
            if hours.start >= hours.end {
                return Err(Problem::invalid(
                    "working_hours.end",
                    "must be after the start",
                ));
            }
            hours.days.sort_by_key(|day| *day as u8);
            hours.days.dedup();
            to.working_hours = hours;
        }
        if let Some(autonomy) = self.autonomy {
            let now = &mut to.autonomy;
            now.send_email = autonomy.send_email.unwrap_or(now.send_email);
            now.create_event = autonomy.create_event.unwrap_or(now.create_event);
            now.write_crm = autonomy.write_crm.unwrap_or(now.write_crm);
        }
        to.auto_recipients = self.auto_recipients.unwrap_or(to.auto_recipients);
        if let Some(text) = self.instructions {
            to.instructions = check::instructions("instructions", text)?;
        }
        to.send_updates = self.send_updates.unwrap_or(to.send_updates);
        if let Some(budget) = self.daily_token_budget {
            if !(0..=MOST_TOKENS).contains(&budget) {
                let words = format!("must be from 0 to {MOST_TOKENS}");
                return Err(Problem::invalid("daily_token_budget", words));
            }
            to.daily_token_budget = budget;
        }
        if let Some(paused) = self.paused {
            to.paused = paused;
            to.paused_at = paused.then(|| to.paused_at.unwrap_or(now.trunc_subsecs(6)));
        }
        Ok(())
    }
}

/// Whether the second allows something that the first didn't.
fn loosens(before: &Settings, after: &Settings) -> bool {
    let freed = |was: Leave, is: Leave| was == Leave::Ask && is == Leave::Auto;
    let (was, is) = (before.autonomy, after.autonomy);
    freed(was.send_email, is.send_email)
        || freed(was.create_event, is.create_event)
        || freed(was.write_crm, is.write_crm)
        || (before.auto_recipients != after.auto_recipients
            && after.auto_recipients != AutoRecipients::Known)
        || (before.paused && !after.paused)
        || before.instructions != after.instructions
        || before.daily_token_budget < after.daily_token_budget
        || before.own_addresses != after.own_addresses
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
    MayApprove(may_approve): MayApprove,
    Extension(request_id): Extension<RequestId>,
    Json(asked): Json<PutSettings>,
) -> Result<Json<SettingsBody>, Problem> {
    let now = app.clock.now();
    let sets_zone = asked.time_zone.is_some();
    let mut tx = scope.begin(&app.pool).await?;
    store::lock(&mut tx).await?;
    let before = store::find(&mut tx).await?;
    let mut settings = before.clone();
    asked.apply(&mut settings, now)?;
    if loosens(&before, &settings) && !may_approve {
        return Err(Problem::forbidden("this token can't let more be done")
            .detail("sign in, or use a token with the scope approve"));
    }
    if settings.daily_token_budget != before.daily_token_budget {
        settings.budget_set_at = Some(now);
        let changed = budget_changed(before.budget_set_at);
        app.tasks.emit(&mut tx, &changed, &()).await?;
    }
    store::put(&mut tx, &settings).await?;
    if sets_zone {
        store::put_time_zone(&mut tx, settings.time_zone).await?;
    }
    // Which mail is written to nobody but such people depends on whose addresses are the user's own.
    if (&settings.import_scope, &settings.own_addresses)
        != (&before.import_scope, &before.own_addresses)
    {
        let once = Enqueue {
            unique_key: Some("import_scope".to_owned()),
            request_id: Some(request_id.0.to_string()),
            ..Enqueue::default()
        };
        app.tasks.enqueue(&mut tx, &ScopeChanged {}, once).await?;
    }
    if let Some(paused_at) = before.paused_at.filter(|_| !settings.paused) {
        app.tasks.emit(&mut tx, &resumed(paused_at), &()).await?;
    }
    if settings != before {
        let entry = activity::New {
            proposed: Some(json!(before)),
            done: Some(json!(settings)),
            ..activity::New::of(Actor::User, "change_settings", Why::default())
        };
        activity::append(&mut tx, entry, now).await?;
    }
    let body = body(&mut tx, settings).await?;
    tx.commit().await?;
    app.tasks.wake();
    app.live.tell(scope.user_id(), Topic::Activity, json!({}));
    Ok(body)
}
