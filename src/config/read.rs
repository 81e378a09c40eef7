//! From text to [`Config`]: parses every variable, then judges the whole.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::{Config, Database, Demo, Environment, Model, ModelServer, Server, Worker, limits};
use crate::failpoint::{self, FailPoints};
use crate::secret::Secret;

/// A setting that can't be used: which, and why. Never its value: it may be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    pub variable: &'static str,
    pub reason: String,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.variable, self.reason)
    }
}

/// Where variables come from. An empty value counts as not set, as shells and `.env` files mean it.
pub struct Source(HashMap<String, String>);

impl Source {
    /// The environment, then `.env` of the working directory for what it lacks.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the environment"
    )]
    pub fn process() -> Self {
        // An unreadable .env is the same as none: the variables it would have set are then missed by name.
        let _ = dotenvy::dotenv();
        Self::of(std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        }))
    }

    pub fn of(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(
            variables
                .into_iter()
                .filter(|(_, value)| !value.trim().is_empty())
                .collect(),
        )
    }

    /// What a command decides, whatever the environment says; nothing is the default.
    pub fn set(&mut self, name: &str, value: &str) {
        if value.is_empty() {
            self.0.remove(name);
        } else {
            self.0.insert(name.to_owned(), value.to_owned());
        }
    }

    /// Whether it is set to anything.
    pub fn has(&self, name: &str) -> bool {
        self.text(name).is_some_and(|value| !value.is_empty())
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.trim())
    }
}

/// Collects what is wrong, so that the second bad variable isn't found by a second start.
pub(super) struct Reader<'a> {
    source: &'a Source,
    invalid: Vec<Invalid>,
}

impl Reader<'_> {
    /// The first reason is the one that counts.
    pub(super) fn refuse(&mut self, variable: &'static str, reason: impl Into<String>) {
        if self.invalid.iter().any(|known| known.variable == variable) {
            return;
        }
        self.invalid.push(Invalid {
            variable,
            reason: reason.into(),
        });
    }

    pub(super) fn parsed<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        match parse(self.source.text(name)?) {
            Ok(value) => Some(value),
            Err(reason) => {
                self.refuse(name, reason);
                None
            }
        }
    }

    pub(super) fn string(&self, name: &str) -> Option<String> {
        self.source.text(name).map(ToOwned::to_owned)
    }

    pub(super) fn secret(&self, name: &str) -> Option<Secret<String>> {
        self.string(name).map(Secret::new)
    }

    pub(super) fn number(&mut self, name: &'static str, default: u64, range: (u64, u64)) -> u64 {
        self.parsed(name, |text| {
            text.parse::<u64>()
                .ok()
                .filter(|number| (range.0..=range.1).contains(number))
                .ok_or_else(|| format!("must be a whole number from {} to {}", range.0, range.1))
        })
        .unwrap_or(default)
    }

    fn small(&mut self, name: &'static str, default: u16, range: (u16, u16)) -> u16 {
        let number = self.number(
            name,
            u64::from(default),
            (u64::from(range.0), u64::from(range.1)),
        );
        u16::try_from(number).unwrap_or(default)
    }

    pub(super) fn flag(&mut self, name: &'static str) -> Option<bool> {
        self.parsed(name, |text| match text {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => Err("must be true or false".to_owned()),
        })
    }

    pub(super) fn http_url(&mut self, name: &'static str) -> Option<Url> {
        self.parsed(name, |text| {
            let url = Url::parse(text).map_err(|_| {
                "must be a whole URL such as https://planner.example.com".to_owned()
            })?;
            if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
                return Err("must begin with http:// or https:// and name a host".to_owned());
            }
            if !url.username().is_empty() || url.password().is_some() {
                return Err("must not hold a user name or password".to_owned());
            }
            Ok(url)
        })
    }

    /// A URL that stands for an origin: whoever compares `Origin` headers with it needs no more.
    fn origin_url(&mut self, name: &'static str) -> Option<Url> {
        let url = self.http_url(name)?;
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            self.refuse(
                name,
                "must be only scheme, host and port, without a path or query",
            );
            return None;
        }
        if url.host_str().is_some_and(|host| host.contains('*')) {
            self.refuse(name, "must name one host, without *");
            return None;
        }
        Some(url)
    }
}

/// As `OPENAI_EMBEDDING_MODEL`: keep the built-in embedder beside a server that only chats.
const BUILT_IN: &str = "built-in";

impl Config {
    /// Parses and judges; every problem found is in the error.
    pub fn read(source: &Source) -> Result<Self, Vec<Invalid>> {
        let mut reader = Reader {
            source,
            invalid: Vec::new(),
        };
        let config = reader.config();
        reader.judge_combinations(&config);
        if reader.invalid.is_empty() {
            Ok(config)
        } else {
            Err(reader.invalid)
        }
    }
}

impl Reader<'_> {
    fn config(&mut self) -> Config {
        let environment = self
            .parsed("APP_ENV", |text| match text {
                "development" => Ok(Environment::Development),
                "production" => Ok(Environment::Production),
                _ => Err("must be development or production".to_owned()),
            })
            .unwrap_or(Environment::Development);
        let server = self.server();
        let worker = self.worker();
        let google = self.google(environment);
        let demo = self.demo(environment, &server, google.is_some());
        Config {
            environment,
            database: self.database(worker.lock_timeout),
            secret_key: self.secret("SECRET_KEY"),
            model: self.model(environment),
            worker,
            limits: self.limits(),
            telemetry: self.telemetry(environment),
            fail_points: self.fail_points(environment),
            server,
            google,
            hubspot: self.hubspot(environment),
            token_keys: self.token_keys(),
            demo,
            retention_hold: self.flag("RETENTION_HOLD").unwrap_or(false),
        }
    }

    fn server(&mut self) -> Server {
        let address = self
            .parsed("BIND_ADDRESS", |text| {
                text.parse::<IpAddr>()
                    .map_err(|_| "must be an IP address such as 127.0.0.1 or ::".to_owned())
            })
            .unwrap_or(IpAddr::from([127, 0, 0, 1]));
        let port = self.small("PORT", 8000, (0, u16::MAX));
        Server {
            listen: SocketAddr::new(address, port),
            public_url: self.origin_url("PUBLIC_URL"),
            frontend_url: self.origin_url("FRONTEND_URL"),
            upload_max_bytes: self.number("UPLOAD_MAX_BYTES", 10 << 30, (1 << 20, 1 << 40)),
        }
    }

    fn database(&mut self, lock_timeout: Duration) -> Database {
        let url = self.parsed("DATABASE_URL", |text| {
            text.parse::<sqlx::postgres::PgConnectOptions>()
                .ok()
                .filter(|_| text.starts_with("postgres://") || text.starts_with("postgresql://"))
                .map(|_| Secret::new(text.to_owned()))
                .ok_or_else(|| "must be a URL such as postgres://user@host:5432/name".to_owned())
        });
        let data_dir = self
            .string("DATA_DIR")
            .map_or_else(|| PathBuf::from("data"), PathBuf::from);
        Database {
            url,
            data_dir,
            max_connections: self.small("DATABASE_MAX_CONNECTIONS", 20, (4, 1000)).into(),
            idle_transaction: lock_timeout.clamp(Duration::from_secs(3), Duration::from_secs(60)),
        }
    }

    fn model(&mut self, environment: Environment) -> Model {
        let base_url = self.http_url("OPENAI_BASE_URL");
        if base_url
            .as_ref()
            .is_some_and(|url| url.query().is_some() || url.fragment().is_some())
        {
            self.refuse("OPENAI_BASE_URL", "must not hold a query or fragment");
        }
        let api_key = self.secret("OPENAI_API_KEY");
        if api_key
            .as_ref()
            .is_some_and(|key| !key.expose().bytes().all(|byte| byte.is_ascii_graphic()))
        {
            self.refuse("OPENAI_API_KEY", "must be visible ASCII characters only");
        }
        let given = base_url.is_some() || api_key.is_some();
        let chat = self.string("OPENAI_CHAT_MODEL");
        let embedding = self.string("OPENAI_EMBEDDING_MODEL");
        for (name, model) in [
            ("OPENAI_CHAT_MODEL", &chat),
            ("OPENAI_EMBEDDING_MODEL", &embedding),
        ] {
            if model.as_ref().is_some_and(|model| model != BUILT_IN) && !given {
                self.refuse(name, "needs OPENAI_API_KEY or OPENAI_BASE_URL");
            }
        }
        if environment == Environment::Production
            && base_url.as_ref().is_some_and(|url| {
                url.scheme() == "http" && !url.host().is_some_and(|host| is_local(&host))
            })
        {
            self.refuse("OPENAI_BASE_URL", "must be https in production");
        }
        let server = given.then(|| ModelServer {
            base_url: base_url.unwrap_or_else(public_model_api),
            api_key,
        });
        Model {
            chat: chat.or_else(|| given.then(|| "gpt-5.4-mini".to_owned())),
            embedding: embedding
                .or_else(|| given.then(|| "text-embedding-3-small".to_owned()))
                .filter(|name| name != BUILT_IN),
            embedding_dimensions: self.parsed("EMBEDDING_DIMENSIONS", |text| {
                text.parse::<u16>()
                    .ok()
                    .filter(|length| (1..=4000).contains(length))
                    .ok_or_else(|| "must be a whole number from 1 to 4000".to_owned())
            }),
            server,
        }
    }

    fn worker(&mut self) -> Worker {
        Worker {
            enabled: self.flag("WORKER_ENABLED").unwrap_or(true),
            poll_interval: Duration::from_secs(self.number("WORKER_POLL_INTERVAL", 5, (1, 3600))),
            max_concurrent: self.small("WORKER_MAX_CONCURRENT", 10, (1, 1000)),
            lock_timeout: Duration::from_secs(self.number("WORKER_LOCK_TIMEOUT", 300, (3, 86_400))),
            keep_done_days: self.small("WORKER_KEEP_DONE_DAYS", 7, (1, 3650)),
            keep_failed_days: self.small("WORKER_KEEP_FAILED_DAYS", 30, (1, 3650)),
        }
    }

    fn fail_points(&mut self, environment: Environment) -> FailPoints {
        self.parsed("FAIL_POINTS", |text| {
            if environment == Environment::Production {
                return Err("is for tests, not for production".to_owned());
            }
            FailPoints::parse(text).ok_or_else(|| {
                format!(
                    "must be name=count pairs of {}",
                    [&failpoint::NAMES[..], &failpoint::PANICS]
                        .concat()
                        .join(", ")
                )
            })
        })
        .unwrap_or_default()
    }

    fn demo(&mut self, environment: Environment, server: &Server, google: bool) -> Demo {
        let asked = self.flag("DEMO_MODE");
        Demo {
            controls: self.flag("DEMO_CONTROLS") == Some(true),
            mode: asked == Some(true),
            local_sign_in: asked != Some(false)
                && environment == Environment::Development
                && !google
                && Config::is_loopback(server.listen.ip()),
        }
    }

    fn judge_combinations(&mut self, config: &Config) {
        if let Some(key) = &config.secret_key
            && key.expose().len() < 32
        {
            self.refuse("SECRET_KEY", "must be at least 32 bytes long");
        }
        if config.environment == Environment::Production {
            self.judge_production(config);
        }
    }

    fn judge_production(&mut self, config: &Config) {
        match &config.secret_key {
            None => self.refuse("SECRET_KEY", "is needed in production"),
            Some(key) if is_weak(key.expose()) => {
                self.refuse("SECRET_KEY", "is too regular to be a secret");
            }
            Some(_) => {}
        }
        if config.database.url.is_none() {
            self.refuse("DATABASE_URL", "is needed in production");
        }
        for flag in ["DEMO_MODE", "DEMO_CONTROLS"] {
            if matches!(self.source.text(flag), Some("true" | "1")) {
                self.refuse(flag, "is refused in production");
            }
        }
        match &config.server.public_url {
            None => self.refuse("PUBLIC_URL", "is needed in production"),
            Some(url) if url.scheme() != "https" => {
                self.refuse("PUBLIC_URL", "must be https in production");
            }
            Some(_) => {}
        }
        if config
            .server
            .frontend_url
            .as_ref()
            .is_some_and(|url| url.scheme() != "https")
        {
            self.refuse("FRONTEND_URL", "must be https in production");
        }
        if config.telemetry.metrics_token.is_none() && !is_private(config.server.listen.ip()) {
            self.refuse(
                "METRICS_TOKEN",
                "is needed in production, unless BIND_ADDRESS is private",
            );
        }
        if limits::are_everybody(&config.limits.trusted_proxies) {
            self.refuse("TRUSTED_PROXIES", "must not trust everybody");
        }
    }
}

fn public_model_api() -> Url {
    Url::parse("https://api.openai.com/v1").expect("a literal URL")
}

pub(super) fn is_local(host: &url::Host<&str>) -> bool {
    match host {
        url::Host::Domain(name) => *name == "localhost",
        url::Host::Ipv4(address) => address.is_loopback() || address.is_private(),
        url::Host::Ipv6(address) => address.is_loopback() || address.is_unique_local(),
    }
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local(),
    }
}

/// A repeated or example value: fewer than ten different characters, or the words of a template.
fn is_weak(key: &str) -> bool {
    let lower = key.to_ascii_lowercase();
    key.chars().collect::<BTreeSet<_>>().len() < 10
        || ["change", "example", "secret_key", "password", "your-"]
            .iter()
            .any(|word| lower.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Config, Vec<Invalid>> {
        Config::read(&Source::of(
            variables
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        ))
    }

    fn refused(variables: &[(&str, &str)]) -> Vec<&'static str> {
        read(variables)
            .unwrap_err()
            .into_iter()
            .map(|invalid| invalid.variable)
            .collect()
    }

    #[test]
    fn nothing_set_is_a_working_configuration() {
        let config = read(&[]).unwrap();
        assert_eq!(config.server.listen.to_string(), "127.0.0.1:8000");
        assert!(config.demo.local_sign_in && !config.demo.mode);
        assert!(config.model.server.is_none());
    }

    #[test]
    fn a_bad_value_names_its_variable_and_never_itself() {
        for (name, value) in [
            ("PORT", "70000"),
            ("BIND_ADDRESS", "everywhere"),
            ("PUBLIC_URL", "desk.example.org"),
            ("PUBLIC_URL", "https://desk.example.org/path"),
            ("APP_ENV", "staging"),
            ("DATABASE_URL", "mysql://somewhere"),
            ("WORKER_MAX_CONCURRENT", "0"),
            ("WORKER_ENABLED", "maybe"),
            ("OPENAI_BASE_URL", "ftp://models"),
            ("OPENAI_API_KEY", "with\nnewline"),
            ("EMBEDDING_DIMENSIONS", "5000"),
            ("SECRET_KEY", "too short"),
            ("LOG_FORMAT", "xml"),
            ("LOG_LEVEL", "loud"),
            ("TRUSTED_PROXIES", "10.0.0.0/40"),
            ("TOKEN_ENCRYPTION_KEYS", "a:short"),
            ("RATE_LIMIT_PER_USER", "-1"),
            ("SENTRY_DSN", "https://errors.example.com/1"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "api-key"),
            ("OTEL_TRACES_SAMPLER_ARG", "1.5"),
        ] {
            let invalid = read(&[(name, value)]).unwrap_err();
            assert_eq!(invalid.len(), 1, "{name}");
            let line = invalid[0].to_string();
            assert!(line.starts_with(name) && !line.contains('\n'), "{line}");
            // Short values may stand in the explanation by chance.
            assert!(value.len() < 4 || !line.contains(value), "{line}");
        }
    }

    #[test]
    fn production_refuses_what_is_only_fit_for_a_desk() {
        assert_eq!(
            refused(&[
                ("APP_ENV", "production"),
                ("DEMO_MODE", "true"),
                ("BIND_ADDRESS", "0.0.0.0")
            ]),
            [
                "SECRET_KEY",
                "DATABASE_URL",
                "DEMO_MODE",
                "PUBLIC_URL",
                "METRICS_TOKEN"
            ]
        );
        let good = [
            ("APP_ENV", "production"),
            ("SECRET_KEY", "q8Zt3LkP0vYw7RbN5xJ2mHs9DfGcUeA1"),
            ("DATABASE_URL", "postgres://app@db.internal/app"),
            ("PUBLIC_URL", "https://planner.example.com"),
        ];
        assert!(!read(&good).unwrap().demo.local_sign_in);
        let mut repeated = good;
        repeated[1].1 = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
        assert_eq!(refused(&repeated), ["SECRET_KEY"]);
    }

    #[test]
    fn sign_in_without_a_password_stays_on_this_machine() {
        for closed in [
            &[("DEMO_MODE", "false")][..],
            &[("BIND_ADDRESS", "0.0.0.0")],
            &[
                ("GOOGLE_CLIENT_ID", "id"),
                ("GOOGLE_CLIENT_SECRET", "secret"),
            ],
        ] {
            assert!(!read(closed).unwrap().demo.local_sign_in);
        }
    }

    #[test]
    fn a_model_needs_a_server() {
        assert_eq!(
            refused(&[("OPENAI_CHAT_MODEL", "m")]),
            ["OPENAI_CHAT_MODEL"]
        );
        let local = read(&[("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")])
            .unwrap()
            .model;
        assert!(local.server.is_some() && local.chat.is_some() && local.embedding.is_some());
        let chat_only = [
            ("OPENAI_API_KEY", "k"),
            ("OPENAI_EMBEDDING_MODEL", "built-in"),
        ];
        assert!(read(&chat_only).unwrap().model.embedding.is_none());
    }

    #[test]
    fn the_example_lists_exactly_what_is_read() {
        let example: BTreeSet<&str> = include_str!("../../.env.example")
            .lines()
            .filter_map(|line| line.trim_start_matches("# ").split_once('='))
            .map(|(name, _)| name)
            .filter(|name| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
            .collect();
        let here = include_str!("read.rs");
        let code = [
            here.split("#[cfg(test)]").next().unwrap(),
            include_str!("providers.rs"),
            include_str!("limits.rs"),
            include_str!("telemetry.rs"),
        ]
        .concat();
        for name in &example {
            assert!(
                code.contains(&format!("\"{name}\"")),
                "{name} is in .env.example only"
            );
        }
        let read: BTreeSet<&str> = code
            .split('"')
            .skip(1)
            .step_by(2)
            .filter(|text| {
                text.len() > 3 && text.chars().all(|c| c.is_ascii_uppercase() || c == '_')
            })
            .collect();
        assert_eq!(
            read.difference(&example).collect::<Vec<_>>(),
            Vec::<&&str>::new()
        );
    }
}
