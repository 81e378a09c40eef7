//! Signing in with Google and connecting HubSpot: OAuth 2 with state, PKCE and nonce.
//!
//! Promises: whatever a callback brings, it ends with a redirect to the frontend; a failure carries one
//! of eight fixed codes and nothing that a provider said, opens no session and, unless state and
//! browser are right, asks no provider. A sign-in's account is Google's subject, never its address.
//! May not know: what is done with a connection afterwards. Begin with `google.rs`.

mod google;
mod hubspot;
mod return_to;
mod state;

use axum::http::header::{LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use url::Url;
use utoipa_axum::router::OpenApiRouter;

use crate::http::Problem;
use crate::providers::Kind;
use crate::state::App;

pub fn router() -> OpenApiRouter<App> {
    google::router().merge(hubspot::router())
}

/// What a start takes.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Start {
    /// A path on the frontend, such as `/settings`.
    return_to: Option<String>,
}

impl Start {
    /// The path, judged.
    fn path(&self, app: &App) -> Result<&str, Problem> {
        let path = self.return_to.as_deref().unwrap_or("/");
        return_to::on_frontend(&app.frontend_url, path)
            .map(|_| path)
            .ok_or_else(|| Problem::invalid("return_to", "must be a path on the frontend"))
    }
}

/// Why a sign-in failed, in the frontend's `?error=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Code {
    AccessDenied,
    StateInvalid,
    StateExpired,
    ExchangeFailed,
    IdTokenInvalid,
    ScopeMissing,
    AccountInUse,
    ProviderUnavailable,
}

impl Code {
    const fn name(self) -> &'static str {
        match self {
            Self::AccessDenied => "access_denied",
            Self::StateInvalid => "state_invalid",
            Self::StateExpired => "state_expired",
            Self::ExchangeFailed => "exchange_failed",
            Self::IdTokenInvalid => "id_token_invalid",
            Self::ScopeMissing => "scope_missing",
            Self::AccountInUse => "account_in_use",
            Self::ProviderUnavailable => "provider_unavailable",
        }
    }

    /// What a provider's `?error=` means for the user.
    fn said_by_provider(error: &str) -> Self {
        match error {
            "access_denied"
            | "admin_policy_enforced"
            | "org_internal"
            | "consent_required"
            | "interaction_required"
            | "login_required" => Self::AccessDenied,
            "server_error" | "temporarily_unavailable" => Self::ProviderUnavailable,
            _ => Self::ExchangeFailed,
        }
    }

    /// What a failed call of the token endpoint means for the user.
    const fn of_exchange(kind: Kind) -> Self {
        if kind.is_passing() {
            Self::ProviderUnavailable
        } else {
            Self::ExchangeFailed
        }
    }
}

/// A sign-in that failed, and where the user wanted to go.
struct Failure {
    code: Code,
    return_to: String,
}

impl Failure {
    /// Before anything is known.
    fn early(code: Code) -> Self {
        Self {
            code,
            return_to: "/".to_owned(),
        }
    }
}

/// What came back with the browser: of each parameter the only one. Twice is as good as forged.
#[derive(Debug, Default)]
struct Callback {
    state: Option<String>,
    code: Option<String>,
    error: Option<String>,
    issuer: Option<String>,
}

impl Callback {
    fn parse(query: Option<&str>) -> Result<Self, Failure> {
        let mut callback = Self::default();
        for (name, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            let place = match &*name {
                "state" => &mut callback.state,
                "code" => &mut callback.code,
                "error" => &mut callback.error,
                "iss" => &mut callback.issuer,
                _ => continue,
            };
            if place.replace(value.into_owned()).is_some() {
                return Err(Failure::early(Code::StateInvalid));
            }
        }
        Ok(callback)
    }
}

/// A browser that came back as it was sent: with a code to be exchanged, and what it belongs to.
struct Arrival {
    code: String,
    redirect_uri: Url,
    returned: state::Returned,
}

impl Arrival {
    fn fail(&self, code: Code) -> Failure {
        Failure {
            code,
            return_to: self.returned.return_to.clone(),
        }
    }

    /// Something of ours broke.
    fn broken(&self, error: impl Into<anyhow::Error>) -> Failure {
        let error = error.into();
        tracing::error!(
            error = format!("{error:#}"),
            "a sign-in or connection could not be stored"
        );
        self.fail(Code::ProviderUnavailable)
    }
}

/// Takes the state back, and judges what came with it.
async fn arrived(
    app: &App,
    headers: &HeaderMap,
    provider: &'static str,
    authorize_url: &Url,
    query: Option<&str>,
) -> Result<Arrival, Failure> {
    let callback = Callback::parse(query)?;
    let redirect_uri = redirect_uri(app, provider);
    let state = callback
        .state
        .ok_or_else(|| Failure::early(Code::StateInvalid))?;
    let returned = state::take(app, headers, provider, redirect_uri.as_str(), &state)
        .await
        .map_err(|refused| match refused {
            state::Refused::Unknown => Failure::early(Code::StateInvalid),
            state::Refused::Expired { return_to } => Failure {
                code: Code::StateExpired,
                return_to,
            },
            state::Refused::Database(error) => {
                tracing::error!(%error, "a sign-in could not be looked up");
                Failure::early(Code::ProviderUnavailable)
            }
        })?;
    let arrival = Arrival {
        code: callback.code.unwrap_or_default(),
        redirect_uri,
        returned,
    };
    if callback
        .issuer
        .is_some_and(|issuer| !crate::providers::google::oauth::is_issuer(&issuer, authorize_url))
    {
        return Err(arrival.fail(Code::StateInvalid));
    }
    if let Some(error) = callback.error {
        return Err(arrival.fail(Code::said_by_provider(&error)));
    }
    if arrival.code.is_empty() {
        return Err(arrival.fail(Code::ExchangeFailed));
    }
    Ok(arrival)
}

/// Where a provider sends browsers back to; the same text at each step of the flow.
fn redirect_uri(app: &App, provider: &str) -> Url {
    let mut url = (*app.public_url).clone();
    url.set_path(&format!("/api/auth/{provider}/callback"));
    url
}

/// 302, with cookies.
fn redirect(to: &Url, cookies: &[String]) -> Response {
    let mut response = StatusCode::FOUND.into_response();
    let headers = response.headers_mut();
    if let Ok(location) = HeaderValue::from_str(to.as_str()) {
        headers.insert(LOCATION, location);
    }
    for cookie in cookies {
        if let Ok(cookie) = HeaderValue::from_str(cookie) {
            headers.append(SET_COOKIE, cookie);
        }
    }
    response
}

/// To the frontend, where the user wanted to go, with the code when it failed.
fn back(app: &App, return_to: &str, code: Option<Code>, cookies: &[String]) -> Response {
    // Judged again: whatever stands in the database, the browser stays on the frontend.
    let mut url = return_to::on_frontend(&app.frontend_url, return_to)
        .unwrap_or_else(|| (*app.frontend_url).clone());
    if let Some(code) = code {
        url.query_pairs_mut().append_pair("error", code.name());
    }
    redirect(&url, cookies)
}
