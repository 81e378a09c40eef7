//! A browser as a sign-in needs one: keeps our cookies, follows one redirect at a time, and tells
//! where it was sent.

use std::collections::BTreeMap;

use reqwest::header::{CONTENT_TYPE, COOKIE, LOCATION, ORIGIN, SET_COOKIE};
use reqwest::{Client, Method};
use serde_json::Value;
use url::Url;

use crate::client::{File, Reply, form, form_type};
use crate::world::World;

pub struct Browser {
    base: String,
    origin: String,
    http: Client,
    cookies: BTreeMap<String, String>,
    bearer: String,
}

impl Browser {
    pub fn new(world: &World) -> Self {
        Self::at(&world.url, &world.origin(), &world.http)
    }

    /// At a server that answers at `base` and calls itself `origin`.
    pub fn at(base: &str, origin: &str, http: &Client) -> Self {
        Self {
            base: base.to_owned(),
            origin: origin.to_owned(),
            http: http.clone(),
            cookies: BTreeMap::new(),
            bearer: String::new(),
        }
    }

    /// Another one that holds the same cookies.
    pub fn twin(&self) -> Self {
        Self {
            base: self.base.clone(),
            origin: self.origin.clone(),
            http: self.http.clone(),
            cookies: self.cookies.clone(),
            bearer: self.bearer.clone(),
        }
    }

    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.get(name).map(String::as_str)
    }

    pub fn set_cookie(&mut self, name: &str, value: &str) {
        self.cookies.insert(name.to_owned(), value.to_owned());
    }

    /// Sends this API token as well, none when empty, and returns the one before.
    pub fn set_bearer(&mut self, token: &str) -> String {
        std::mem::replace(&mut self.bearer, token.to_owned())
    }

    pub fn has_session(&self) -> bool {
        self.cookie("session")
            .is_some_and(|value| !value.is_empty())
    }

    pub async fn send(&mut self, method: Method, path: &str) -> Reply {
        self.call(method, path, None).await
    }

    pub async fn post(&mut self, path: &str, body: &Value) -> Reply {
        self.call(Method::POST, path, Some(body)).await
    }

    pub async fn put(&mut self, path: &str, body: &Value) -> Reply {
        self.call(Method::PUT, path, Some(body)).await
    }

    async fn call(&mut self, method: Method, path: &str, body: Option<&Value>) -> Reply {
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let mut request = self
            .http
            .request(method.clone(), format!("{}{path}", self.base));
        if !cookies.is_empty() {
            request = request.header(COOKIE, cookies.join("; "));
        }
        if !self.bearer.is_empty() {
            request = request.bearer_auth(&self.bearer);
        }
        if method != Method::GET {
            request = request.header(ORIGIN, &self.origin);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let reply = Reply::read(request.send().await.unwrap()).await;
        for set in reply.headers.get_all(SET_COOKIE) {
            let pair = set.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        reply
    }

    pub async fn get(&mut self, path: &str) -> Reply {
        self.send(Method::GET, path).await
    }

    /// Drops files in; needs a token.
    pub async fn upload(&self, files: &[File]) -> Reply {
        let request = self
            .http
            .post(format!("{}/api/ingest/documents", self.base))
            .bearer_auth(&self.bearer)
            .header(CONTENT_TYPE, form_type())
            .body(form(files));
        Reply::read(request.send().await.unwrap()).await
    }

    /// Begins a sign-in; where the provider is asked.
    pub async fn start(&mut self, path: &str) -> Url {
        let reply = self.get(path).await;
        assert_eq!(reply.status, 302, "{}", reply.text());
        location(&reply)
    }

    /// What the provider's consent sends the browser back to, as a path of ours.
    pub async fn consent(&self, url: Url) -> String {
        let reply = Reply::read(self.http.get(url).send().await.unwrap()).await;
        assert!(
            matches!(reply.status, 302 | 303),
            "{}: {}",
            reply.status,
            reply.text()
        );
        let back = location(&reply);
        assert_eq!(back.origin().ascii_serialization(), self.origin);
        back[url::Position::BeforePath..].to_owned()
    }

    /// From the start to where the frontend is asked for.
    pub async fn sign_in(&mut self, start: &str) -> Url {
        let provider = self.start(start).await;
        let callback = self.consent(provider).await;
        self.arrive(&callback).await
    }

    /// Where a callback sends the browser.
    pub async fn arrive(&mut self, callback: &str) -> Url {
        let reply = self.get(callback).await;
        assert_eq!(reply.status, 302, "{callback}: {}", reply.text());
        location(&reply)
    }
}

pub fn location(reply: &Reply) -> Url {
    let location = reply.header(LOCATION.as_str()).expect("a Location");
    Url::parse(location).unwrap()
}

/// The frontend's `?error=`.
pub fn error_of(url: &Url) -> Option<String> {
    let mut errors = url
        .query_pairs()
        .filter(|(name, _)| name == "error")
        .map(|(_, value)| value.into_owned());
    let first = errors.next();
    assert!(errors.next().is_none(), "{url}");
    first
}
