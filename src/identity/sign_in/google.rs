//! `/api/auth/google/start` and `/callback`.

use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Code, Failure, Start, arrived, back, redirect, redirect_uri, state};
use crate::db::{UserId, UserScope};
use crate::http::{Problem, ProblemBody, Query};
use crate::identity::connections::{self, NewConnection, Provider};
use crate::identity::{session, store};
use crate::providers::google::Google;
use crate::providers::google::identity::{Claims, Refused};
use crate::providers::google::oauth::{SCOPES, short};
use crate::providers::oauth::Authorization;
use crate::state::App;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(start))
        .routes(routes!(callback))
}

/// Sends the browser to Google.
#[utoipa::path(get, path = "/api/auth/google/start", tag = "auth", params(Start), responses(
    (status = 302, description = "To Google"), (status = 404, body = ProblemBody),
    (status = 422, body = ProblemBody)))]
async fn start(
    State(app): State<App>,
    headers: HeaderMap,
    Query(asked): Query<Start>,
) -> Result<Response, Problem> {
    let google = app.google.as_ref().ok_or_else(Problem::not_found)?;
    let path = asked.path(&app)?;
    // By a session only: what ends in one must not begin with an API token, which may do less.
    let user_id = session::user_of(&app, &headers).await?;
    let known = match user_id {
        Some(user_id) => {
            let scope = UserScope::checked(user_id);
            connections::find(&app, &scope, Provider::Google).await?
        }
        None => None,
    };
    let redirect_uri = redirect_uri(&app, "google");
    let begun = state::begin(
        &app,
        &headers,
        "google",
        redirect_uri.as_str(),
        path,
        user_id,
    )
    .await?;
    let mut extra = vec![
        ("access_type", "offline"),
        ("include_granted_scopes", "true"),
        ("nonce", begun.nonce.as_str()),
    ];
    // Consent gives a refresh token, of which Google keeps a hundred: it isn't asked for where a good
    // one is stored.
    let is_whole = known.as_ref().is_some_and(|known| {
        known.is_connected() && SCOPES.iter().all(|scope| known.grants(scope))
    });
    if !is_whole {
        extra.push(("prompt", "consent"));
    }
    if let Some(known) = &known {
        extra.push(("login_hint", known.account.as_str()));
    }
    let url = google.oauth.authorize_url(&Authorization {
        redirect_uri: &redirect_uri,
        state: &begun.state,
        verifier: &begun.verifier,
        scopes: &SCOPES,
        extra: &extra,
    });
    Ok(redirect(&url, &[begun.cookie]))
}

/// Where Google sends the browser back: opens a session, or says with `?error=` why not.
#[utoipa::path(get, path = "/api/auth/google/callback", tag = "auth", responses(
    (status = 302, description = "To the frontend"), (status = 404, body = ProblemBody)))]
async fn callback(
    State(app): State<App>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let google = app.google.as_ref().ok_or_else(Problem::not_found)?;
    Ok(
        match finish(&app, google, &headers, query.as_deref()).await {
            Ok((return_to, cookie)) => back(&app, &return_to, None, &[cookie]),
            Err(failure) => {
                tracing::info!(code = failure.code.name(), "a sign-in with Google failed");
                back(&app, &failure.return_to, Some(failure.code), &[])
            }
        },
    )
}

async fn finish(
    app: &App,
    google: &Google,
    headers: &HeaderMap,
    query: Option<&str>,
) -> Result<(String, String), Failure> {
    let arrival = arrived(app, headers, "google", &google.settings.auth_url, query).await?;
    let returned = &arrival.returned;
    let fail = |code| arrival.fail(code);
    let grant = google
        .oauth
        .exchange(&arrival.code, &returned.verifier, &arrival.redirect_uri)
        .await
        .map_err(|error| {
            tracing::warn!(%error, "Google gave no tokens for a code");
            fail(Code::of_exchange(error.kind))
        })?;
    let scopes: Vec<String> = match &grant.scopes {
        Some(scopes) => scopes.iter().map(|scope| short(scope).to_owned()).collect(),
        None => SCOPES.iter().map(|scope| (*scope).to_owned()).collect(),
    };
    // What was unticked explains what isn't there.
    let unless_unticked = |scope: &str| {
        let granted = scopes.iter().any(|granted| granted == scope);
        fail(if granted {
            Code::IdTokenInvalid
        } else {
            Code::ScopeMissing
        })
    };
    let id_token = grant
        .id_token
        .as_ref()
        .ok_or_else(|| unless_unticked("openid"))?;
    let claims = google
        .identity
        .verify(id_token.expose(), &google.settings.client.client_id)
        .await
        .map_err(|refused| {
            tracing::warn!(%refused, "an id_token is refused");
            fail(match refused {
                Refused::Invalid(_) => Code::IdTokenInvalid,
                Refused::NoKeys(_) => Code::ProviderUnavailable,
            })
        })?;
    if claims.email.is_none() {
        return Err(unless_unticked("email"));
    }
    let email = judge(&claims, &returned.nonce, &google.settings.client.client_id)
        .ok_or_else(|| fail(Code::IdTokenInvalid))?;
    // Whoever was signed in when it began must be so still: else it is a sign-in like any other.
    let here = session::user_of(app, headers)
        .await
        .map_err(|error| arrival.broken(error))?;
    let signed_in = here.filter(|user_id| returned.user_id == Some(*user_id));
    let user_id = user(app, signed_in, &claims, email)
        .await
        .map_err(|error| arrival.broken(error))?
        .ok_or_else(|| fail(Code::AccountInUse))?;
    let scope = UserScope::checked(user_id);
    let new = NewConnection {
        provider: Provider::Google,
        account: email.to_owned(),
        account_id: claims.sub.clone(),
        realm: email.to_lowercase(),
        scopes,
        grant,
    };
    match connections::connect(app, &scope, new)
        .await
        .map_err(|error| arrival.broken(error))?
    {
        connections::Outcome::Stored => {}
        connections::Outcome::InUse => return Err(fail(Code::AccountInUse)),
        connections::Outcome::NoRefreshToken => return Err(fail(Code::ExchangeFailed)),
    }
    // A new id at every sign-in: whoever knew the old one knows nothing now.
    let opened = async {
        session::close(app, headers).await?;
        session::open(app, user_id).await
    };
    let cookie = opened
        .await
        .map_err(|error: sqlx::Error| arrival.broken(error))?;
    Ok((arrival.returned.return_to, cookie))
}

/// The verified address, when the token is ours, for this very sign-in.
fn judge<'a>(claims: &'a Claims, nonce: &str, client_id: &str) -> Option<&'a str> {
    let ours = claims.azp.as_deref().is_none_or(|azp| azp == client_id);
    let this = claims.nonce.as_deref() == Some(nonce);
    let email = claims.email.as_deref().filter(|email| !email.is_empty())?;
    (ours && this && claims.email_verified == Some(true)).then_some(email)
}

/// Who signs in: the account's user, or a new one. Somebody who is signed in without Google connects
/// it to themselves; nothing comes back when the account is another's then.
async fn user(
    app: &App,
    signed_in: Option<UserId>,
    claims: &Claims,
    email: &str,
) -> anyhow::Result<Option<UserId>> {
    let subject = format!("google:{}", claims.sub);
    let owner = match store::find_by_subject(&app.pool, &subject).await? {
        Some(user_id) => Some(user_id),
        None => connections::user_of(&app.pool, Provider::Google, &claims.sub).await?,
    };
    if let Some(user_id) = signed_in
        && !store::signs_in_with_google(&app.pool, user_id).await?
    {
        return Ok(owner
            .is_none_or(|owner| owner == user_id)
            .then_some(user_id));
    }
    let new = store::NewUser {
        id: crate::ids::next(),
        subject,
        email: email.to_owned(),
        name: claims.name.clone().unwrap_or_else(|| email.to_owned()),
        picture_url: claims.picture.clone(),
        now: app.clock.now(),
    };
    match owner {
        Some(user_id) => {
            store::update_profile(&app.pool, user_id, &new).await?;
            Ok(Some(user_id))
        }
        None => Ok(Some(store::find_or_create(&app.pool, &new).await?)),
    }
}
