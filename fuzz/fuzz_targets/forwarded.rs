//! `X-Forwarded-For` of any bytes, one line each: no panic, a stranger's word never counts, and what a trusted
//! proxy saw does, whatever was written before it.

use std::net::{IpAddr, Ipv4Addr};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use paraplanner::http::peer::Proxies;

const HEADER: HeaderName = HeaderName::from_static("x-forwarded-for");

pub fn forwarded(raw: &[u8]) {
    let ours: IpAddr = Ipv4Addr::new(10, 0, 0, 1).into();
    let seen: IpAddr = Ipv4Addr::new(203, 0, 113, 9).into();
    let proxies = Proxies::new(&["10.0.0.0/8".parse().expect("a network")]);
    let mut headers = HeaderMap::new();
    for line in raw.split(|byte| *byte == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(HEADER, value);
        }
    }
    assert_eq!(proxies.peer_of(seen, &headers).0, seen);
    let peer = proxies.peer_of(ours, &headers);
    assert_eq!(peer.0, peer.0.to_canonical(), "one address, one count");
    headers.append(HEADER, HeaderValue::from_static("203.0.113.9"));
    assert_eq!(proxies.peer_of(ours, &headers).0, seen);
}
