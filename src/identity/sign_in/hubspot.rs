//! `/api/auth/hubspot/start` and `/callback`: for somebody signed in.

use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Code, Failure, Start, arrived, back, redirect, redirect_uri, state};
use crate::db::UserScope;
use crate::http::{Problem, ProblemBody, Query};
use crate::identity::access::InPerson;
use crate::identity::connections::{self, NewConnection, Outcome, Provider};
use crate::identity::session;
use crate::providers::hubspot::HubSpot;
use crate::providers::hubspot::oauth::{Account, CONTACTS_READ, DEALS_READ, SCOPES, introspect};
use crate::providers::oauth::Authorization;
use crate::state::App;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(start))
        .routes(routes!(callback))
}

/// Sends the browser to HubSpot. In person only.
#[utoipa::path(get, path = "/api/auth/hubspot/start", tag = "auth", params(Start), responses(
    (status = 302, description = "To HubSpot"), (status = 401, body = ProblemBody),
    (status = 403, body = ProblemBody), (status = 404, body = ProblemBody),
    (status = 422, body = ProblemBody)))]
async fn start(
    State(app): State<App>,
    InPerson(scope): InPerson,
    headers: HeaderMap,
    Query(asked): Query<Start>,
) -> Result<Response, Problem> {
    let hubspot = app.hubspot.as_ref().ok_or_else(Problem::not_found)?;
    let path = asked.path(&app)?;
    let redirect_uri = redirect_uri(&app, "hubspot");
    let user_id = Some(scope.user_id());
    let begun = state::begin(
        &app,
        &headers,
        "hubspot",
        redirect_uri.as_str(),
        path,
        user_id,
    )
    .await?;
    let url = hubspot.oauth.authorize_url(&Authorization {
        redirect_uri: &redirect_uri,
        state: &begun.state,
        verifier: &begun.verifier,
        scopes: &SCOPES,
        extra: &[("optional_scope", DEALS_READ)],
    });
    Ok(redirect(&url, &[begun.cookie]))
}

/// Where HubSpot sends the browser back: connects the account, or says with `?error=` why not.
#[utoipa::path(get, path = "/api/auth/hubspot/callback", tag = "auth", responses(
    (status = 302, description = "To the frontend"), (status = 404, body = ProblemBody)))]
async fn callback(
    State(app): State<App>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let hubspot = app.hubspot.as_ref().ok_or_else(Problem::not_found)?;
    Ok(
        match finish(&app, hubspot, &headers, query.as_deref()).await {
            Ok(return_to) => back(&app, &return_to, None, &[]),
            Err(failure) => {
                tracing::info!(code = failure.code.name(), "connecting HubSpot failed");
                back(&app, &failure.return_to, Some(failure.code), &[])
            }
        },
    )
}

async fn finish(
    app: &App,
    hubspot: &HubSpot,
    headers: &HeaderMap,
    query: Option<&str>,
) -> Result<String, Failure> {
    let arrival = arrived(app, headers, "hubspot", &hubspot.settings.auth_url, query).await?;
    let returned = &arrival.returned;
    let fail = |code| arrival.fail(code);
    // Whoever began it must still be signed in here: a browser that changed hands connects nothing.
    let user_id = session::user_of(app, headers)
        .await
        .map_err(|error| arrival.broken(error))?
        .filter(|user_id| returned.user_id == Some(*user_id))
        .ok_or_else(|| fail(Code::StateInvalid))?;
    let refused = |error: crate::providers::Error| {
        tracing::warn!(%error, "HubSpot gave no tokens for a code");
        fail(Code::of_exchange(error.kind))
    };
    let grant = hubspot
        .oauth
        .exchange(&arrival.code, &returned.verifier, &arrival.redirect_uri)
        .await
        .map_err(refused)?;
    let settings = &hubspot.settings;
    let account = introspect(
        &app.http,
        &settings.api,
        &settings.client,
        &grant.access_token,
    )
    .await;
    let account = match account {
        Ok(account) => account,
        // The tokens came with what matters; only the account's domain is missing then.
        Err(error) if grant.portal.is_some() => {
            tracing::warn!(%error, "HubSpot doesn't say more of an account");
            Account::default()
        }
        Err(error) => return Err(refused(error)),
    };
    let portal = account
        .hub_id
        .map(|id| id.to_string())
        .or_else(|| grant.portal.clone())
        .ok_or_else(|| fail(Code::ExchangeFailed))?;
    let scopes = grant
        .scopes
        .clone()
        .or(Some(account.scopes).filter(|scopes| !scopes.is_empty()))
        // The required ones are granted as a whole or not at all.
        .unwrap_or_else(|| SCOPES.iter().map(|scope| (*scope).to_owned()).collect());
    if !scopes.iter().any(|scope| scope == CONTACTS_READ) {
        return Err(fail(Code::ScopeMissing));
    }
    let scope = UserScope::checked(user_id);
    let new = NewConnection {
        provider: Provider::HubSpot,
        account: account
            .hub_domain
            .filter(|domain| !domain.is_empty())
            .unwrap_or_else(|| portal.clone()),
        // Several advisors may share a portal, and a firm's login to it.
        account_id: format!("{portal}:{}", user_id.0),
        realm: portal,
        scopes,
        grant,
    };
    match connections::connect(app, &scope, new)
        .await
        .map_err(|error| arrival.broken(error))?
    {
        Outcome::Stored => Ok(arrival.returned.return_to),
        Outcome::InUse => Err(fail(Code::AccountInUse)),
        Outcome::NoRefreshToken => Err(fail(Code::ExchangeFailed)),
    }
}
