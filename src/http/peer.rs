//! Who is at the other end: the address of the connection or, where that is a proxy of ours, the one that
//! the proxy names.
//!
//! `X-Forwarded-For` is read from right to left, for as long as whoever wrote an entry is trusted: what
//! stands further left is a stranger's word. May not know: what the address is used for.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};
use axum::middleware::Next;
use axum::response::Response;
use ipnet::IpNet;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// Proxies behind one another; whoever names more is believed no further.
const MOST_HOPS: usize = 16;

/// The networks of proxies whose word on addresses counts.
#[derive(Clone, Debug, Default)]
pub struct Proxies(Arc<[IpNet]>);

impl Proxies {
    pub fn new(networks: &[IpNet]) -> Self {
        Self(networks.into())
    }

    /// Whether this is a proxy of ours.
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Where the request of a connection from `socket` comes from.
    pub fn peer_of(&self, socket: IpAddr, headers: &HeaderMap) -> Peer {
        let mut peer = socket.to_canonical();
        let told = headers.get_all(X_FORWARDED_FOR).iter().rev();
        // A header whose bytes aren't text says nothing that can be believed, nor does what is left of it.
        let entries = told
            .map(|value| value.to_str().unwrap_or("?"))
            .flat_map(|line| line.rsplit(','));
        for entry in entries.take(MOST_HOPS) {
            if !self.trusts(peer) {
                break;
            }
            match address_in(entry) {
                Some(address) => peer = address,
                None => break,
            }
        }
        Peer(peer)
    }
}

/// An entry as proxies write it: an address, perhaps with a port, in brackets if it is of version 6.
fn address_in(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim().trim_matches('"');
    let address = if let Ok(address) = entry.parse::<IpAddr>() {
        address
    } else if let Ok(with_port) = entry.parse::<SocketAddr>() {
        with_port.ip()
    } else {
        entry
            .strip_prefix('[')?
            .strip_suffix(']')?
            .parse::<Ipv6Addr>()
            .ok()?
            .into()
    };
    Some(address.to_canonical())
}

/// The address that a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

impl Peer {
    /// Whom its requests are counted for: whoever has an address of version 6 has 2⁶⁴ of them.
    pub fn network(self) -> IpAddr {
        match self.0 {
            IpAddr::V4(_) => self.0,
            IpAddr::V6(address) => {
                let prefix = address.to_bits() & !u128::from(u64::MAX);
                Ipv6Addr::from_bits(prefix).into()
            }
        }
    }
}

/// Puts the [`Peer`] into the request.
pub async fn remember_peer(
    State(proxies): State<Proxies>,
    mut request: Request,
    next: Next,
) -> Response {
    let socket = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let socket = socket.map_or(Ipv4Addr::UNSPECIFIED.into(), |info| info.0.ip());
    let peer = proxies.peer_of(socket, request.headers());
    request.extensions_mut().insert(peer);
    next.run(request).await
}

impl<S: Send + Sync> FromRequestParts<S> for Peer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::among(&parts.extensions))
    }
}

impl Peer {
    /// The one that [`remember_peer`] put there; without it, everybody is one.
    pub fn among(extensions: &axum::http::Extensions) -> Self {
        let nobody = Self(Ipv4Addr::UNSPECIFIED.into());
        extensions.get().copied().unwrap_or(nobody)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn peer(trusted: &[&str], socket: &str, lines: &[&str]) -> String {
        let networks: Vec<IpNet> = trusted.iter().map(|text| text.parse().unwrap()).collect();
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(X_FORWARDED_FOR, HeaderValue::from_str(line).unwrap());
        }
        let proxies = Proxies::new(&networks);
        let peer = proxies.peer_of(socket.parse().unwrap(), &headers);
        peer.0.to_string()
    }

    #[test]
    fn a_strangers_word_does_not_count() {
        assert_eq!(peer(&[], "203.0.113.9", &["198.51.100.1"]), "203.0.113.9");
        let ours = ["10.0.0.0/8", "fd00::/8"];
        assert_eq!(peer(&ours, "203.0.113.9", &["198.51.100.1"]), "203.0.113.9");
    }

    #[test]
    fn it_is_read_from_right_to_left_while_its_writers_are_ours() {
        let ours = ["10.0.0.0/8", "fd00::/8"];
        for (lines, expected) in [
            (&[][..], "10.0.0.1"),
            (&["198.51.100.1"], "198.51.100.1"),
            (&["1.1.1.1, 198.51.100.1"], "198.51.100.1"),
            (&["1.1.1.1", "198.51.100.1, 10.0.0.2"], "198.51.100.1"),
            (&["1.1.1.1, fd00::7, 10.0.0.2"], "1.1.1.1"),
            (&["198.51.100.1:4711"], "198.51.100.1"),
            (&["\"[2001:db8::1]:4711\""], "2001:db8::1"),
            (&["[2001:db8::1]"], "2001:db8::1"),
            (&["::ffff:198.51.100.1"], "198.51.100.1"),
            (&["10.0.0.3"], "10.0.0.3"),
            // What can't be read ends the reading; the one who passed it on is taken.
            (&["1.1.1.1, unknown"], "10.0.0.1"),
            (&["1.1.1.1, , 10.0.0.2"], "10.0.0.2"),
        ] {
            assert_eq!(peer(&ours, "10.0.0.1", lines), expected, "{lines:?}");
        }
        assert_eq!(
            peer(&ours, "::ffff:10.0.0.1", &["198.51.100.1"]),
            "198.51.100.1"
        );
    }

    #[test]
    fn an_address_of_version_6_stands_for_its_network() {
        let of = |text: &str| Peer(text.parse().unwrap()).network().to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("203.0.113.9"), "203.0.113.9");
    }

    proptest! {
        /// Whatever is written to the left of what our proxy saw, the peer stays the same.
        #[test]
        fn nobody_chooses_their_own_address(forged in "[ -~]{0,80}", seen: u32, hops in 0_usize..4) {
            let seen = Ipv4Addr::from_bits(seen);
            prop_assume!(seen.octets()[0] != 10);
            let ours = ", 10.0.0.9".repeat(hops);
            let line = format!("{forged}, {seen}{ours}");
            prop_assert_eq!(peer(&["10.0.0.0/8"], "10.0.0.1", &[&line]), seen.to_string());
        }

        #[test]
        fn any_bytes_are_an_address_of_somebody(lines: Vec<Vec<u8>>, socket: u32) {
            let mut headers = HeaderMap::new();
            for line in lines {
                if let Ok(value) = HeaderValue::from_bytes(&line) {
                    headers.append(X_FORWARDED_FOR, value);
                }
            }
            let socket = Ipv4Addr::from_bits(socket).into();
            prop_assert_eq!(Proxies::default().peer_of(socket, &headers).0, socket);
            Proxies::new(&["0.0.0.0/0".parse().unwrap()]).peer_of(socket, &headers);
        }
    }
}
