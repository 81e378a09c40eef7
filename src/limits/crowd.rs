//! How much at once. Each class of requests has its own room; within it nobody has more than their share.
//! Whoever finds the room full waits a moment, then is sent away.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::Method;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Key;
use crate::http::Problem;
use crate::http::contract::Entrance;

/// A burst is over by then; what isn't is overload.
const PATIENCE: Duration = Duration::from_secs(1);

/// Which room a request needs a place in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Answers of the assistant, until their last word.
    Chat,
    Api,
    /// Uploads and exports, until their last byte.
    Transfers,
    /// `GET /api/events` and other streams without an end.
    Streams,
    /// Deliveries of providers, whose room is `webhooks::intake`'s.
    Webhooks,
    /// What operators ask that touches the database.
    Operations,
}

impl Class {
    const ALL: [Self; 6] = [
        Self::Chat,
        Self::Api,
        Self::Transfers,
        Self::Streams,
        Self::Webhooks,
        Self::Operations,
    ];

    /// By method and path; none is for what costs nothing and must always be answered: the process's
    /// life, its metrics, and the files of the page and of the contract.
    pub(super) fn of(method: &Method, path: &str) -> Option<Self> {
        Some(match path {
            "/health" | "/metrics" | "/" | "/favicon.svg" | "/openapi.json" | "/docs" => {
                return None;
            }
            _ if path.starts_with("/assets/") || path.starts_with("/docs/") => return None,
            "/ready" | "/health/database" => Self::Operations,
            "/api/chat/stream" | "/api/chat/message" => Self::Chat,
            "/api/events" => Self::Streams,
            "/mcp" if method == Method::GET => Self::Streams,
            "/api/ingest/documents" | "/api/account/export" => Self::Transfers,
            _ if path.starts_with("/api/webhooks/") => Self::Webhooks,
            _ => Self::Api,
        })
    }

    /// What the contract says of a path's limits.
    pub fn entrance(path: &str) -> Entrance {
        let class = Self::of(&Method::POST, path);
        Entrance {
            limited: !matches!(class, None | Some(Self::Operations)),
            provider: class == Some(Self::Webhooks),
        }
    }

    /// Whether the place is kept until the reply's last byte.
    pub(super) const fn lasts(self) -> bool {
        matches!(self, Self::Chat | Self::Transfers | Self::Streams)
    }

    /// All together, and one user's or peer's.
    const fn places(self) -> Option<(usize, usize)> {
        Some(match self {
            Self::Chat => (256, 32),
            Self::Api => (256, 64),
            Self::Transfers => (64, 8),
            Self::Streams => (2048, 16),
            Self::Operations => (16, 16),
            Self::Webhooks => return None,
        })
    }
}

/// Why there was no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// All places are taken.
    Room,
    /// Whoever asks has their share.
    Share,
}

impl Full {
    pub const fn label(self, class: Class) -> &'static str {
        match (self, class) {
            (Self::Share, _) => "at_once",
            (Self::Room, Class::Chat) => "chat_full",
            (Self::Room, Class::Api) => "api_full",
            (Self::Room, Class::Transfers) => "transfers_full",
            (Self::Room, Class::Streams) => "streams_full",
            (Self::Room, Class::Webhooks) => "webhooks_full",
            (Self::Room, Class::Operations) => "operations_full",
        }
    }
}

/// Of everything that can be full, for the metric.
pub(super) fn labels() -> impl Iterator<Item = &'static str> {
    let rooms = Class::ALL.into_iter().map(|class| Full::Room.label(class));
    rooms.chain([Full::Share.label(Class::Api)])
}

impl From<Full> for Problem {
    fn from(full: Full) -> Self {
        match full {
            Full::Room => Self::unavailable("too much is asked at once"),
            Full::Share => Self::too_many("too many requests at once", Duration::from_secs(1)),
        }
    }
}

/// The rooms of all classes.
pub(super) struct Crowd(Vec<(Class, Room)>);

struct Room {
    places: Arc<Semaphore>,
    share: usize,
    held: Arc<Mutex<HashMap<Key, usize>>>,
}

/// A place; it is free again when this is dropped.
#[derive(Debug)]
pub struct Permit {
    _place: Option<OwnedSemaphorePermit>,
    _share: Option<Share>,
}

#[derive(Debug)]
struct Share {
    held: Arc<Mutex<HashMap<Key, usize>>>,
    key: Key,
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = held.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.key);
            }
        }
    }
}

impl Crowd {
    /// Without shares everybody may fill a room: nobody is told from anybody else.
    pub fn new(shares: bool) -> Self {
        let rooms = Class::ALL.into_iter().filter_map(|class| {
            let (places, share) = class.places()?;
            Some((
                class,
                Room::new(places, if shares { share } else { places }),
            ))
        });
        Self(rooms.collect())
    }

    pub async fn enter(&self, class: Class, key: Option<Key>) -> Result<Permit, Full> {
        match self.0.iter().find(|(one, _)| *one == class) {
            Some((_, room)) => room.enter(key).await,
            None => Ok(Permit {
                _place: None,
                _share: None,
            }),
        }
    }
}

impl Room {
    fn new(places: usize, share: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(places)),
            share,
            held: Arc::default(),
        }
    }

    async fn enter(&self, key: Option<Key>) -> Result<Permit, Full> {
        let share = key.map(|key| self.share_of(key)).transpose()?;
        let place = Arc::clone(&self.places).acquire_owned();
        match tokio::time::timeout(PATIENCE, place).await {
            Ok(Ok(place)) => Ok(Permit {
                _place: Some(place),
                _share: share,
            }),
            Ok(Err(_)) | Err(_) => Err(Full::Room),
        }
    }

    fn share_of(&self, key: Key) -> Result<Share, Full> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let count = held.entry(key).or_default();
        if *count >= self.share {
            return Err(Full::Share);
        }
        *count += 1;
        Ok(Share {
            held: Arc::clone(&self.held),
            key,
        })
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const fn user(number: u128) -> Key {
        Key::User(Uuid::from_u128(number))
    }

    #[tokio::test]
    async fn nobody_has_more_than_their_share_and_places_come_back() {
        let room = Room::new(3, 2);
        let first = room.enter(Some(user(1))).await.unwrap();
        let second = room.enter(Some(user(1))).await.unwrap();
        assert_eq!(room.enter(Some(user(1))).await.unwrap_err(), Full::Share);
        let third = room.enter(Some(user(2))).await.unwrap();
        assert_eq!(room.enter(Some(user(3))).await.unwrap_err(), Full::Room);
        // Who was sent away holds nothing.
        drop(first);
        assert!(room.enter(Some(user(3))).await.is_ok());
        drop((second, third));
        assert!(room.held.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_full_room_is_no_other_classs_business() {
        let crowd = Crowd::new(true);
        let mut held = Vec::new();
        for number in 0..256 {
            held.push(crowd.enter(Class::Chat, Some(user(number))).await.unwrap());
        }
        assert_eq!(
            crowd.enter(Class::Chat, Some(user(999))).await.unwrap_err(),
            Full::Room
        );
        assert!(crowd.enter(Class::Webhooks, None).await.is_ok());
        assert!(crowd.enter(Class::Api, Some(user(0))).await.is_ok());
    }

    #[test]
    fn what_must_be_answered_needs_no_place() {
        let of = |path| Class::of(&Method::GET, path);
        for free in ["/", "/health", "/metrics", "/assets/0/app.js", "/docs/x.js"] {
            assert_eq!(of(free), None, "{free}");
        }
        assert_eq!(of("/api/events"), Some(Class::Streams));
        assert_eq!(of("/api/webhooks/hubspot"), Some(Class::Webhooks));
        assert_eq!(of("/api/webhook-events"), Some(Class::Api));
        assert_eq!(of("/nowhere"), Some(Class::Api));
    }
}
