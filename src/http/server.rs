//! The accept loop: hyper with limits that a slow or silent client can't outsit.
//!
//! Header read and idle 10 s; a reader that takes nothing for 30 s is dropped; at most
//! [`MAX_CONNECTIONS`], of which one address holds a part. HTTP/1.1 only: HTTP/2 with its stream and reset
//! attacks is the reverse proxy's business. May not know: any route.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::peer::{Peer, Proxies};

const MAX_CONNECTIONS: usize = 4096;
/// Of one address, or one network of version 6. A proxy of ours and this machine are everybody.
const CONNECTIONS_OF_ONE: usize = MAX_CONNECTIONS / 4;
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// A reply of which nothing is taken for so long is given up.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// Connections, and what a request needs beside its own: the database's and the providers'.
const DESCRIPTORS: u64 = 3 * MAX_CONNECTIONS as u64;

/// Lets the process open as many files as connections may come, if its limits allow. Many systems begin with
/// 1,024, which a few thousand slow connections would use up.
pub fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit
        .maximum
        .map_or(DESCRIPTORS, |most| most.min(DESCRIPTORS));
    if limit.current.is_some_and(|current| current < wanted) {
        let raised = Rlimit {
            current: Some(wanted),
            maximum: limit.maximum,
        };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(%error, "the limit of open files could not be raised");
        }
    }
}

/// Who holds how many connections.
#[derive(Clone, Default)]
struct Held(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One of them; it is given back when this is dropped.
struct Share(Held, IpAddr);

impl Held {
    fn one_more(&self, peer: IpAddr) -> Option<Share> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = held.entry(peer).or_default();
        if *count >= CONNECTIONS_OF_ONE {
            return None;
        }
        *count += 1;
        Some(Share(self.clone(), peer))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut held = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = held.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.1);
            }
        }
    }
}

/// Serves until `stop`, then ends idle connections at once and the others after their reply.
/// Returns when every connection has ended; the caller bounds the wait.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    proxies: Proxies,
    stop: CancellationToken,
) {
    let connections = TaskTracker::new();
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let held = Held::default();
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
            break;
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let address = peer.ip().to_canonical();
                let everybody = address.is_loopback() || proxies.trusts(address);
                let share = held.one_more(Peer(address).network());
                if share.is_none() && !everybody {
                    // Closed without a word: whoever holds so many doesn't read it.
                    continue;
                }
                let (router, stop) = (router.clone(), stop.clone());
                connections.spawn(async move {
                    serve_connection(stream, peer, router, stop).await;
                    drop((slot, share));
                });
            }
            // Out of descriptors, mostly: accepting again at once would spin.
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

async fn serve_connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    stop: CancellationToken,
) {
    // Answers and tokens are small writes that must leave at once.
    let _ = stream.set_nodelay(true);
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        let mut request: Request = request.map(axum::body::Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        let router = router.clone();
        async move {
            Ok::<_, Infallible>(
                router
                    .oneshot(request)
                    .await
                    .unwrap_or_else(|never| match never {}),
            )
        }
    });
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_TIMEOUT));
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(Box::pin(stream)), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // Strangers who hang up are ordinary.
        tracing::debug!(%error, "a connection ended early");
    }
}
