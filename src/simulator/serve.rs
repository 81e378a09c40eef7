//! The accept loop: every call meets its fault, does its work, and is written down. A connection can be
//! cut without a reply, which is why this isn't axum's own loop.

use std::io;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::faults::Misbehaviour;
use super::{Entry, World, google, hubspot, model};

/// Serves until `stop`.
pub(super) fn start(
    listener: TcpListener,
    router: Router<World>,
    world: World,
    stop: CancellationToken,
) {
    let router = router.with_state(world.clone());
    let tasks = TaskTracker::new();
    world.google().keep_time(world.clock());
    tasks.spawn(google::deliver_notifications(world.clone(), stop.clone()));
    let connections = tasks.clone();
    tasks.spawn(async move {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stop.cancelled() => break,
            };
            if let Ok((stream, _)) = accepted {
                let (router, world, stop) = (router.clone(), world.clone(), stop.clone());
                connections.spawn(async move {
                    tokio::select! {
                        () = connection(stream, router, world) => {}
                        () = stop.cancelled() => {}
                    }
                });
            }
        }
    });
}

async fn connection(stream: TcpStream, router: Router, world: World) {
    let _ = stream.set_nodelay(true);
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        let (router, world) = (router.clone(), world.clone());
        async move { answer(request, router, &world).await }
    });
    // An error here is a connection that was cut, by us or by the client.
    let _ = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// An error cuts the connection.
async fn answer(
    request: hyper::Request<Incoming>,
    router: Router,
    world: &World,
) -> io::Result<Response> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let path = parts.uri.path().to_owned();
    let steers = path.starts_with("/sim/");
    let mut entry = Entry {
        at: world.clock().now(),
        method: parts.method.to_string(),
        path: path.clone(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        body: String::from_utf8_lossy(&body).into_owned(),
        status: 0,
        misbehaved: false,
    };
    let fault = if steers {
        None
    } else {
        world.faults().take(&entry.method, &path)
    };
    entry.misbehaved = fault.is_some();
    let response = misbehave(fault, parts, body, router, &path).await;
    if let Ok(response) = &response {
        entry.status = response.status().as_u16();
    }
    if !steers {
        world.journal().add(entry);
    }
    response
}

async fn misbehave(
    fault: Option<Misbehaviour>,
    parts: axum::http::request::Parts,
    body: Bytes,
    router: Router,
    path: &str,
) -> io::Result<Response> {
    let cut = || io::Error::new(io::ErrorKind::ConnectionReset, "cut on demand");
    let work = async || {
        let request = axum::http::Request::from_parts(parts, Body::from(body));
        let Ok(response) = router.oneshot(request).await;
        response
    };
    match fault {
        None => Ok(work().await),
        Some(Misbehaviour::Refuse {
            status,
            reason,
            retry_after_secs,
        }) => {
            let mut response = refusal(path, status, reason.as_deref());
            if let Some(seconds) = retry_after_secs {
                response
                    .headers_mut()
                    .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            }
            Ok(response)
        }
        Some(Misbehaviour::Answer {
            status,
            body,
            content_type,
        }) => {
            let status = StatusCode::from_u16(status).map_err(io::Error::other)?;
            let content_type = content_type.unwrap_or_else(|| "application/json".to_owned());
            Ok((status, [(header::CONTENT_TYPE, content_type)], body).into_response())
        }
        Some(Misbehaviour::Slow { millis }) => {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            Ok(work().await)
        }
        Some(Misbehaviour::CutBefore) => Err(cut()),
        Some(Misbehaviour::CutAfter) => {
            work().await;
            Err(cut())
        }
    }
}

/// An error reply in the form of the provider that has this path.
fn refusal(path: &str, status: u16, reason: Option<&str>) -> Response {
    if path.starts_with("/v1/") {
        model::refusal(status, reason)
    } else if ["/crm/", "/oauth/", "/account-info", "/webhooks/"]
        .iter()
        .any(|start| path.starts_with(start))
    {
        hubspot::refusal(status, reason)
    } else {
        google::refusal(status, reason)
    }
}
