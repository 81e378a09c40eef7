//! OAuth 2 as Google and HubSpot both speak it (RFC 6749, 7636): the address to send a browser to, a
//! code for tokens, a refresh token for an access token.
//!
//! Requests and replies are those of the `oauth2` crate; transport, limits and metrics are ours. Only
//! `invalid_grant` means that a grant is dead: everything that could be a passing trouble is told as
//! such, so that no caller throws a token away for it. May not know: where tokens are kept.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use oauth2::basic::{
    BasicErrorResponse, BasicErrorResponseType, BasicRevocationErrorResponse,
    BasicTokenIntrospectionResponse, BasicTokenType,
};
use oauth2::{
    AsyncHttpClient, AuthType, AuthUrl, AuthorizationCode, Client, ClientId, ClientSecret,
    CsrfToken, EndpointNotSet, EndpointSet, ExtraTokenFields, HttpRequest, HttpResponse,
    PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RefreshToken, RequestTokenError, Scope,
    StandardRevocableToken, StandardTokenResponse, TokenResponse as _, TokenUrl,
};
use serde::{Deserialize, Deserializer, Serialize};
use url::Url;

use super::{Error, Kind, http};
use crate::config::OAuthClient;
use crate::secret::Secret;
use crate::telemetry::Metrics;

/// One exchange, from connecting to the reply's last byte.
const TIME_LIMIT: Duration = Duration::from_secs(10);
const REPLY_LIMIT: usize = 256 * 1024;
/// For a reply that doesn't say.
const DEFAULT_LIFE: Duration = Duration::from_secs(1800);

/// What the providers add to the standard's reply.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Extra {
    #[serde(default)]
    id_token: Option<String>,
    /// HubSpot's list, beside the standard's `scope`.
    #[serde(default)]
    scopes: Option<Vec<String>>,
    #[serde(default, deserialize_with = "id")]
    hub_id: Option<String>,
    #[serde(default, deserialize_with = "id")]
    user_id: Option<String>,
}

impl ExtraTokenFields for Extra {}

/// Ids are text here, whatever they are on the wire.
fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Id {
        Number(u64),
        Text(String),
    }
    Ok(Option::<Id>::deserialize(deserializer)?.map(|id| match id {
        Id::Number(number) => number.to_string(),
        Id::Text(text) => text,
    }))
}

type Reply = StandardTokenResponse<Extra, BasicTokenType>;
type Inner = Client<
    BasicErrorResponse,
    Reply,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

/// What a user has granted.
#[derive(Debug)]
pub struct Grant {
    pub access_token: Secret<String>,
    pub expires_in: Duration,
    /// Absent where the stored one stays as it is.
    pub refresh_token: Option<Secret<String>>,
    /// As the provider words them; absent where it doesn't say.
    pub scopes: Option<Vec<String>>,
    pub id_token: Option<Secret<String>>,
    /// HubSpot's account and user.
    pub portal: Option<String>,
    pub portal_user: Option<String>,
}

/// What an authorization begins with.
pub struct Authorization<'a> {
    pub redirect_uri: &'a Url,
    pub state: &'a str,
    pub verifier: &'a Secret<String>,
    pub scopes: &'a [&'a str],
    /// The provider's own parameters.
    pub extra: &'a [(&'a str, &'a str)],
}

/// One provider's authorization server, for our client there; cheap to clone.
#[derive(Clone)]
pub struct Server {
    provider: &'static str,
    http: reqwest::Client,
    metrics: Metrics,
    inner: Inner,
}

impl Server {
    pub fn new(
        provider: &'static str,
        http: reqwest::Client,
        metrics: Metrics,
        client: &OAuthClient,
        authorize: Url,
        token: Url,
    ) -> Self {
        let inner = Client::new(ClientId::new(client.client_id.clone()))
            .set_client_secret(ClientSecret::new(client.client_secret.expose().clone()))
            .set_auth_type(AuthType::RequestBody)
            .set_auth_uri(AuthUrl::from_url(authorize))
            .set_token_uri(TokenUrl::from_url(token));
        Self {
            provider,
            http,
            metrics,
            inner,
        }
    }

    /// Where the browser is sent.
    pub fn authorize_url(&self, begin: &Authorization<'_>) -> Url {
        let verifier = PkceCodeVerifier::new(begin.verifier.expose().clone());
        let state = begin.state.to_owned();
        let mut request = self
            .inner
            .authorize_url(|| CsrfToken::new(state))
            .set_redirect_uri(Cow::Owned(RedirectUrl::from_url(
                begin.redirect_uri.clone(),
            )))
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
            .add_scopes(
                begin
                    .scopes
                    .iter()
                    .map(|scope| Scope::new((*scope).to_owned())),
            );
        for (name, value) in begin.extra {
            request = request.add_extra_param(*name, *value);
        }
        request.url().0
    }

    /// A code for tokens, once: a code that was used is dead.
    pub async fn exchange(
        &self,
        code: &str,
        verifier: &Secret<String>,
        redirect_uri: &Url,
    ) -> Result<Grant, Error> {
        let reply = self
            .inner
            .exchange_code(AuthorizationCode::new(code.to_owned()))
            .set_pkce_verifier(PkceCodeVerifier::new(verifier.expose().clone()))
            .set_redirect_uri(Cow::Owned(RedirectUrl::from_url(redirect_uri.clone())))
            .request_async(self);
        self.measured("oauth.exchange", reply).await
    }

    /// An access token for a refresh token. `Unauthorized` says that the grant is dead.
    pub async fn refresh(&self, refresh_token: &Secret<String>) -> Result<Grant, Error> {
        let token = RefreshToken::new(refresh_token.expose().clone());
        let reply = self
            .inner
            .exchange_refresh_token(&token)
            .request_async(self);
        self.measured("oauth.refresh", reply).await
    }

    async fn measured(
        &self,
        operation: &'static str,
        reply: impl Future<Output = Result<Reply, RequestTokenError<Error, BasicErrorResponse>>>,
    ) -> Result<Grant, Error> {
        let started = Instant::now();
        let result = reply.await.map(|reply| grant(&reply)).map_err(judge);
        let outcome = result.as_ref().map_or_else(|e| e.kind.label(), |_| "ok");
        self.metrics
            .provider_request(self.provider, operation, outcome, started.elapsed());
        result
    }

    async fn post(&self, request: HttpRequest) -> Result<HttpResponse, Error> {
        tokio::time::timeout(TIME_LIMIT, self.post_once(request))
            .await
            .unwrap_or_else(|_| Err(Error::new(Kind::Ambiguous, "no answer in time")))
    }

    async fn post_once(&self, request: HttpRequest) -> Result<HttpResponse, Error> {
        let request = reqwest::Request::try_from(request).map_err(http::transport)?;
        let response = self.http.execute(request).await.map_err(http::transport)?;
        let status = response.status();
        if status.is_server_error()
            || matches!(status.as_u16(), 408 | 429)
            || status.is_redirection()
        {
            let kind = http::kind_of(status, http::retry_after(response.headers()));
            return Err(Error::new(kind, format!("status {}", status.as_u16())));
        }
        let headers = response.headers().clone();
        let mut body = http::body_within(response, REPLY_LIMIT).await?;
        if status.is_client_error() {
            body = as_standard(body);
        }
        let mut reply = HttpResponse::new(body);
        *reply.status_mut() = status;
        *reply.headers_mut() = headers;
        Ok(reply)
    }
}

impl<'c> AsyncHttpClient<'c> for Server {
    type Error = Error;
    type Future = BoxFuture<'c, Result<HttpResponse, Error>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.post(request))
    }
}

fn grant(reply: &Reply) -> Grant {
    let extra = reply.extra_fields();
    let standard = reply.scopes().map(|scopes| {
        let names = scopes.iter().map(|scope| scope.as_str().to_owned());
        names.collect::<Vec<_>>()
    });
    Grant {
        access_token: Secret::new(reply.access_token().secret().clone()),
        expires_in: reply.expires_in().unwrap_or(DEFAULT_LIFE),
        refresh_token: reply
            .refresh_token()
            .map(RefreshToken::secret)
            .filter(|token| !token.is_empty())
            .map(|token| Secret::new(token.clone())),
        scopes: standard.or_else(|| extra.scopes.clone()),
        id_token: extra.id_token.clone().map(Secret::new),
        portal: extra.hub_id.clone(),
        portal_user: extra.user_id.clone(),
    }
}

/// HubSpot's errors have a `status` of its own, and not always the standard's `error` beside it.
fn as_standard(body: Vec<u8>) -> Vec<u8> {
    #[derive(Deserialize)]
    struct Refusal {
        error: Option<serde_json::Value>,
        status: Option<String>,
    }
    let Ok(Refusal {
        error: None,
        status: Some(status),
    }) = serde_json::from_slice(&body)
    else {
        return body;
    };
    let error = match status.as_str() {
        "BAD_REFRESH_TOKEN"
        | "BAD_AUTH_CODE"
        | "EXPIRED_AUTH_CODE"
        | "MISMATCH_REDIRECT_URI_AUTH_CODE" => "invalid_grant",
        "BAD_CLIENT_ID" | "BAD_CLIENT_SECRET" => "invalid_client",
        _ => return body,
    };
    format!(r#"{{"error":"{error}"}}"#).into_bytes()
}

/// The provider's words never leave this function: its description may hold anything.
fn judge(error: RequestTokenError<Error, BasicErrorResponse>) -> Error {
    match error {
        RequestTokenError::Request(error) => error,
        RequestTokenError::ServerResponse(response) => {
            let (kind, words) = match response.error() {
                BasicErrorResponseType::InvalidGrant => (Kind::Unauthorized, "invalid_grant"),
                BasicErrorResponseType::InvalidClient => (Kind::Forbidden, "invalid_client"),
                BasicErrorResponseType::UnauthorizedClient => {
                    (Kind::Forbidden, "unauthorized_client")
                }
                BasicErrorResponseType::InvalidScope => (Kind::Invalid, "invalid_scope"),
                BasicErrorResponseType::Extension(name) => match name.as_str() {
                    "access_denied" | "org_internal" | "admin_policy_enforced" => {
                        (Kind::Unauthorized, "refused by policy")
                    }
                    "rate_limit_exceeded"
                    | "internal_failure"
                    | "temporarily_unavailable"
                    | "server_error" => (Kind::Unavailable, "a passing error"),
                    _ => (Kind::Invalid, "an unknown error"),
                },
                _ => (Kind::Invalid, "our request is wrong"),
            };
            Error::new(kind, words)
        }
        RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
            Error::new(Kind::Nonsense, "the reply holds no tokens")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::as_standard;

    #[test]
    fn hubspots_own_status_is_read_where_the_standard_has_nothing() {
        let read = |text: &str| String::from_utf8(as_standard(text.into())).unwrap();
        assert_eq!(
            read(r#"{"status":"BAD_REFRESH_TOKEN","message":"x"}"#),
            r#"{"error":"invalid_grant"}"#
        );
        for as_it_is in [
            r#"{"status":"BAD_REFRESH_TOKEN","error":"temporarily_unavailable"}"#,
            r#"{"status":"error"}"#,
            "<html>",
        ] {
            assert_eq!(read(as_it_is), as_it_is);
        }
    }
}
