//! A signed-in account of the simulated Google, and an ear for its notifications.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use paraplanner::simulator::google::{CLIENT_ID, CLIENT_SECRET, Decision};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use url::Url;

use crate::world::Stage;

pub const ADVISOR: &str = "advisor@example.com";
pub const SECOND: &str = "second@example.com";
pub const ALL: &str =
    "openid email https://mail.google.com/ https://www.googleapis.com/auth/calendar";
const BACK: &str = "http://localhost:8080/api/auth/google/callback";

pub struct Client<'s> {
    pub stage: &'s Stage,
    pub token: String,
}

impl<'s> Client<'s> {
    pub async fn sign_in(stage: &'s Stage, email: &str, scope: &str) -> Self {
        let google = stage.world().google();
        google.add_account(email, "Somebody");
        google.decide(Decision::Allow {
            email: email.to_owned(),
        });
        let asked = [
            ("client_id", CLIENT_ID),
            ("redirect_uri", BACK),
            ("response_type", "code"),
            ("scope", scope),
        ];
        let url = Url::parse_with_params(&stage.at("/o/oauth2/v2/auth"), asked).unwrap();
        let response = stage.http.get(url).send().await.unwrap();
        let back = Url::parse(response.headers()["location"].to_str().unwrap()).unwrap();
        let code = back
            .query_pairs()
            .find(|(name, _)| name == "code")
            .unwrap()
            .1;
        let form = [
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", BACK),
            ("client_id", CLIENT_ID),
            ("client_secret", CLIENT_SECRET),
        ];
        let response = stage.http.post(stage.at("/token")).form(&form).send().await;
        let body: Value = response.unwrap().json().await.unwrap();
        Self {
            stage,
            token: body["access_token"].as_str().unwrap().to_owned(),
        }
    }

    pub async fn call(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let method = method.parse().unwrap();
        let mut request = self
            .stage
            .http
            .request(method, self.stage.at(path))
            .bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    pub async fn get(&self, path: &str) -> Value {
        let (status, body) = self.call("GET", path, None).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    pub async fn post(&self, path: &str, body: Value) -> Value {
        let (status, body) = self.call("POST", path, Some(body)).await;
        assert!(status < 300, "{path}: {status} {body}");
        body
    }
}

pub fn reason(body: &Value) -> &str {
    body["error"]["errors"][0]["reason"]
        .as_str()
        .unwrap_or_default()
}

/// Hears notifications; answers each with the status that is next, then with 204.
pub struct Ear {
    pub url: Url,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Ear {
    pub async fn listen(statuses: &[u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/push", listener.local_addr().unwrap());
        let heard = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&heard);
        let mut statuses = statuses.to_vec();
        tokio_util::task::TaskTracker::new().spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut bytes = Vec::new();
                let mut buffer = [0; 4096];
                loop {
                    let read = stream.read(&mut buffer).await.unwrap_or(0);
                    bytes.extend_from_slice(&buffer[..read]);
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    let whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
                        let length = head.lines().find_map(|line| {
                            let (name, value) = line.split_once(':')?;
                            let same = name.eq_ignore_ascii_case("content-length");
                            same.then(|| value.trim().parse::<usize>().unwrap())
                        });
                        body.len() >= length.unwrap_or(0)
                    });
                    if whole || read == 0 {
                        break;
                    }
                }
                let status = if statuses.is_empty() {
                    204
                } else {
                    statuses.remove(0)
                };
                all.lock()
                    .unwrap()
                    .push(String::from_utf8_lossy(&bytes).into_owned());
                let reply = format!(
                    "HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                );
                let _ = stream.write_all(reply.as_bytes()).await;
            }
        });
        Self {
            url: Url::parse(&url).unwrap(),
            heard,
        }
    }

    /// The first so many requests, whole.
    pub async fn hear(&self, count: usize) -> Vec<String> {
        for _ in 0..200 {
            let heard = self.heard.lock().unwrap().clone();
            if heard.len() >= count {
                return heard;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("heard only {:?}", self.heard.lock().unwrap());
    }
}
