//! `paraplanner setup-check`: tries the settings of Google and HubSpot and says what is wrong, without
//! anybody signing in. What a user's grant is needed for is tried with one that is stored, if there is
//! one. Changes nothing, except that a Gmail watch which is tried is renewed.

use std::io::Write as _;
use std::process::ExitCode;

use url::Url;

use crate::app;
use crate::config::{Config, GmailPush};
use crate::db::{Database, UserScope};
use crate::identity::connections::{self, Grant, Provider};
use crate::ids;
use crate::providers::oauth::{Authorization, Server};
use crate::providers::{Error, Kind, google, http, hubspot};
use crate::secret::Secret;
use crate::state::App;
use crate::telemetry::Metrics;

/// What was found so far.
#[derive(Default)]
struct Report {
    failed: bool,
}

impl Report {
    fn line(word: &str, what: &str, detail: &str) {
        // A closed standard output is no reason to stop.
        let _ = writeln!(std::io::stdout(), "{word:<5} {what}: {detail}");
    }

    fn ok(what: &str, detail: &str) {
        Self::line("ok", what, detail);
    }

    fn skip(what: &str, why: &str) {
        Self::line("-", what, why);
    }

    fn fail(&mut self, what: &str, help: &str) {
        self.failed = true;
        Self::line("FAIL", what, help);
    }
}

pub async fn run(config: Config) -> anyhow::Result<ExitCode> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut report = Report::default();
    let public_url = public_url(&config)?;
    say_values(&public_url);
    let http = http::client()?;
    reachable(&mut report, &http, &public_url).await;
    let metrics = Metrics::new();
    match &config.google {
        Some(settings) => {
            let ours = google::Google::new(&http, &metrics, settings);
            google_keys(&mut report, &ours).await;
            let redirect = at(&public_url, "/api/auth/google/callback");
            client(&mut report, "Google", &ours.oauth, &redirect).await;
            let scopes = &google::oauth::SCOPES;
            authorize(&mut report, &http, "Google", &ours.oauth, &redirect, scopes).await;
            push_settings(&mut report, settings.push.as_ref(), &public_url);
        }
        None => Report::skip(
            "Google",
            "GOOGLE_CLIENT_ID and GOOGLE_CLIENT_SECRET aren't set",
        ),
    }
    match &config.hubspot {
        Some(settings) => {
            let ours = hubspot::HubSpot::new(&http, &metrics, settings);
            let redirect = at(&public_url, "/api/auth/hubspot/callback");
            client(&mut report, "HubSpot", &ours.oauth, &redirect).await;
            let scopes = &hubspot::oauth::SCOPES;
            authorize(
                &mut report,
                &http,
                "HubSpot",
                &ours.oauth,
                &redirect,
                scopes,
            )
            .await;
        }
        None => Report::skip(
            "HubSpot",
            "HUBSPOT_CLIENT_ID and HUBSPOT_CLIENT_SECRET aren't set",
        ),
    }
    Box::pin(grants(&mut report, config)).await;
    Ok(if report.failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn public_url(config: &Config) -> anyhow::Result<Url> {
    match &config.server.public_url {
        Some(url) => Ok(url.clone()),
        None => Ok(Url::parse(&format!(
            "http://localhost:{}",
            config.server.listen.port()
        ))?),
    }
}

fn at(public_url: &Url, path: &str) -> Url {
    let mut url = public_url.clone();
    url.set_path(path);
    url
}

/// What has to be entered at the providers, letter for letter.
fn say_values(public_url: &Url) {
    let mut out = std::io::stdout();
    let _ = writeln!(out, "To be entered at the providers:");
    for (what, value) in [
        (
            "Google, authorised redirect URI",
            at(public_url, "/api/auth/google/callback").to_string(),
        ),
        ("Google, scopes", google::oauth::SCOPES.join(" ")),
        (
            "Google, push endpoint",
            at(public_url, "/api/webhooks/gmail").to_string(),
        ),
        (
            "HubSpot, redirect URL",
            at(public_url, "/api/auth/hubspot/callback").to_string(),
        ),
        ("HubSpot, required scopes", hubspot::oauth::SCOPES.join(" ")),
        (
            "HubSpot, optional scope",
            hubspot::oauth::DEALS_READ.to_owned(),
        ),
        (
            "HubSpot, webhook target",
            at(public_url, "/api/webhooks/hubspot").to_string(),
        ),
    ] {
        let _ = writeln!(out, "  {what}: {value}");
    }
    let _ = writeln!(out);
}

async fn reachable(report: &mut Report, http: &reqwest::Client, public_url: &Url) {
    let what = format!("PUBLIC_URL {public_url}");
    let answer = http
        .get(at(public_url, "/health"))
        .timeout(LIMIT)
        .send()
        .await;
    match answer {
        Ok(reply) if reply.status().is_success() => Report::ok(&what, "it answers"),
        Ok(reply) => report.fail(
            &what,
            &format!(
                "/health answers {}: does the proxy lead here?",
                reply.status().as_u16()
            ),
        ),
        Err(_) => report.fail(
            &what,
            "no answer: is the program running, and does the name lead here?",
        ),
    }
}

/// For whole calls of ours.
const LIMIT: std::time::Duration = std::time::Duration::from_secs(10);

async fn google_keys(report: &mut Report, ours: &google::Google) {
    // Any token will do: its key is looked for before anything else is judged.
    let token = "eyJhbGciOiJSUzI1NiIsImtpZCI6InNldHVwLWNoZWNrIn0.e30.AA";
    match ours.identity.verify(token, "setup-check").await {
        Err(google::identity::Refused::NoKeys(error)) => {
            report.fail(
                "Google, keys",
                &format!("GOOGLE_JWKS_URL gives none: {error}"),
            );
        }
        _ => Report::ok("Google, keys", "they can be had"),
    }
}

/// A code that can't be right: what is said about it tells whether id and secret are.
async fn client(report: &mut Report, provider: &str, server: &Server, redirect: &Url) {
    let what = format!("{provider}, client id and secret");
    let verifier = Secret::new(ids::token());
    match server.exchange("setup-check", &verifier, redirect).await {
        Err(Error {
            kind: Kind::Unauthorized,
            ..
        })
        | Ok(_) => Report::ok(&what, "they are right"),
        Err(error) if error.kind == Kind::Forbidden => {
            report.fail(&what, "refused: copy both anew from the provider's console");
        }
        Err(error) if error.kind.is_passing() => {
            report.fail(&what, &format!("the provider can't be asked: {error}"));
        }
        Err(error) => report.fail(
            &what,
            &format!(
                "the request is refused ({error}): is the redirect URI entered letter for letter?"
            ),
        ),
    }
}

/// The page that users would be sent to, looked at without them.
async fn authorize(
    report: &mut Report,
    http: &reqwest::Client,
    provider: &str,
    server: &Server,
    redirect: &Url,
    scopes: &[&str],
) {
    let what = format!("{provider}, redirect URI and scopes");
    let verifier = Secret::new(ids::token());
    let url = server.authorize_url(&Authorization {
        redirect_uri: redirect,
        state: "setup-check",
        verifier: &verifier,
        scopes,
        extra: &[],
    });
    let Ok(reply) = http.get(url).timeout(LIMIT).send().await else {
        return report.fail(&what, "the page can't be reached");
    };
    let to = reply
        .headers()
        .get(reqwest::header::LOCATION)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if reply.status().as_u16() >= 400 || to.contains("/oauth/error") || to.contains("authError") {
        report.fail(
            &what,
            "the provider shows an error: enter the values above letter for letter",
        );
    } else {
        Report::ok(&what, "the provider shows its page");
    }
}

fn push_settings(report: &mut Report, push: Option<&GmailPush>, public_url: &Url) {
    let Some(push) = push else {
        return Report::skip("Gmail push", "not configured: mail is polled");
    };
    let parts: Vec<&str> = push.topic.split('/').collect();
    if !matches!(parts[..], ["projects", project, "topics", topic] if !project.is_empty() && !topic.is_empty())
    {
        report.fail(
            "Gmail push",
            "GMAIL_PUBSUB_TOPIC must be projects/<project>/topics/<name>",
        );
    } else if public_url.scheme() != "https" {
        report.fail(
            "Gmail push",
            "Google pushes to https only: PUBLIC_URL must be https",
        );
    } else {
        Report::ok("Gmail push", "the settings are well-formed");
    }
}

/// What only a user's grant can tell: which scopes are granted, and whether Gmail may publish.
async fn grants(report: &mut Report, config: Config) {
    let database = match Database::open(&config.database).await {
        Ok(database) => database,
        Err(error) => {
            return Report::skip(
                "Connections",
                &format!("the database can't be had now ({error:#})"),
            );
        }
    };
    let address = config.server.listen;
    match app::build(config, &database, address) {
        Ok(app) => {
            if let Err(error) = connected(report, &app).await {
                Report::skip("Connections", &format!("they can't be read: {error:#}"));
            }
        }
        Err(error) => Report::skip("Connections", &format!("{error:#}")),
    }
    database.close().await;
}

async fn connected(report: &mut Report, app: &App) -> anyhow::Result<()> {
    let users = connections::some_users(&app.pool).await?;
    if users.is_empty() {
        Report::skip(
            "Connections",
            "nobody has connected anything: sign in once and check again",
        );
    }
    let mut watched = false;
    for user_id in users {
        let scope = UserScope::checked(user_id);
        for connection in connections::list(app, &scope).await? {
            let what = format!("{} of {}", connection.provider, connection.account);
            let off: Vec<&str> = connection
                .features
                .iter()
                .filter_map(|feature| feature.why.map(|_| feature.scope))
                .collect();
            if !connection.is_connected() {
                report.fail(&what, "the access has ended: connect again");
            } else if off.is_empty() {
                Report::ok(&what, "all scopes are granted");
            } else {
                report.fail(&what, &format!("not granted: {}", off.join(" ")));
            }
            let is_google = connection.provider == Provider::Google.name();
            if is_google && connection.is_connected() && !watched {
                watched = true;
                topic(report, app, scope).await;
            }
        }
    }
    Ok(())
}

async fn topic(report: &mut Report, app: &App, scope: UserScope) {
    let Some((google, push)) = app
        .google
        .as_ref()
        .and_then(|google| Some((google, google.settings.push.as_ref()?)))
    else {
        return;
    };
    let what = "Gmail push, topic";
    let grant = Grant::new(app, scope, Provider::Google);
    match google.gmail.watch(&grant, &push.topic).await {
        Ok(_) => Report::ok(what, "Gmail may publish to it"),
        Err(error) => report.fail(
            what,
            match error.kind {
                Kind::Forbidden => {
                    "Gmail may not publish: give gmail-api-push@system.gserviceaccount.com the role Pub/Sub Publisher on it"
                }
                Kind::NotFound => "there is no such topic",
                Kind::Invalid => "it must be in the same Google Cloud project as the OAuth client",
                _ => "Gmail can't be asked just now",
            },
        ),
    }
}
