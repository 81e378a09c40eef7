//! From the doors into the database: what arrives at about the same time is one transaction for each
//! user, whose commit answers all that are in it.
//!
//! No timer gathers them: while one transaction is under way the next one fills. So a single delivery is
//! stored at once, and a flood costs few commits. Where enough waits to be worth its own commit, it
//! doesn't wait for the one before, so that the database and we are at work at the same time. A door
//! answers when its deliveries are durable, and says 503 when they can't be, when too many wait, or when
//! it takes longer than its sender waits.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use sqlx::PgPool;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::delivery::Delivery;
use super::{Delivered, inbox};
use crate::db::{UserId, UserScope};
use crate::http::Problem;
use crate::limits::Limits;
use crate::state::App;
use crate::tasks::Enqueue;

/// Deliveries that wait. More than this and the doors say that they are full.
const WAITING: usize = 20_000;
/// Arrivals that are put into their lines at once.
const ROUND: usize = 512;
/// Deliveries of one transaction, the last arrival apart, which isn't cut.
const TOGETHER: usize = 2000;
/// Transactions of one user that are under way at once, the second only for so many deliveries. Two with
/// the same deliveries wait for each other and don't lock each other out: see [`inbox::take`].
const ABREAST: usize = 2;
const WORTH_ANOTHER: usize = 100;
/// HubSpot waits for five seconds. One user's trouble keeps the others no longer than this, either.
const STORED_WITHIN: Duration = Duration::from_secs(4);
/// Transactions that are under way at once: less than the share of connections, from
/// which doors look up whose a delivery is.
const AT_ONCE: usize = 4;

/// What one request brought for one user.
struct Arrival {
    user_id: UserId,
    deliveries: Vec<Delivery>,
    request_id: Option<String>,
    stored: oneshot::Sender<bool>,
    /// Its share of what may wait.
    room: OwnedSemaphorePermit,
}

/// Where doors leave what they have verified; cheap to clone.
#[derive(Clone)]
pub struct Intake {
    waiting: mpsc::UnboundedSender<Arrival>,
    room: Arc<Semaphore>,
    limits: Limits,
    pool: PgPool,
}

impl Intake {
    /// Begins to store, until the last door has closed.
    pub fn open(app: &App) -> Self {
        // Bounded by the room, which counts deliveries and not requests.
        let (waiting, arrivals) = mpsc::unbounded_channel();
        app.background.spawn(store(app.clone(), arrivals));
        Self {
            waiting,
            room: Arc::new(Semaphore::new(WAITING)),
            limits: app.limits.clone(),
            pool: app.pools.deliveries.clone(),
        }
    }

    /// The share of connections that doors have: whose a delivery is mustn't wait for anybody else.
    pub(super) const fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Stores what a request brought, and queues the work on it. Afterwards a 2xx is true.
    pub(super) async fn take(
        &self,
        by_user: HashMap<UserId, Vec<Delivery>>,
        request_id: &str,
    ) -> Result<(), Problem> {
        self.limits.delivery().await?;
        let full = || self.limits.deliveries_full();
        let mut outcomes = Vec::with_capacity(by_user.len());
        for (user_id, deliveries) in by_user {
            let (stored, outcome) = oneshot::channel();
            let count = u32::try_from(deliveries.len()).map_err(|_| full())?;
            let room = Arc::clone(&self.room).try_acquire_many_owned(count);
            let arrival = Arrival {
                user_id,
                deliveries,
                request_id: Some(request_id.to_owned()),
                stored,
                room: room.map_err(|_| full())?,
            };
            self.waiting.send(arrival).map_err(|_| full())?;
            outcomes.push(outcome);
        }
        for outcome in outcomes {
            if !outcome.await.unwrap_or(false) {
                return Err(Problem::unavailable("what was delivered can't be stored"));
            }
        }
        Ok(())
    }
}

async fn store(app: App, mut arrivals: mpsc::UnboundedReceiver<Arrival>) {
    let mut lines = Lines::default();
    let mut under_way = FuturesUnordered::new();
    let mut came = Vec::with_capacity(ROUND);
    let mut open = true;
    loop {
        tokio::select! {
            count = arrivals.recv_many(&mut came, ROUND), if open => {
                open = count > 0;
                came.drain(..).for_each(|arrival| lines.join(arrival));
            }
            Some(user_id) = under_way.next() => lines.leave(user_id),
            else => break,
        }
        while let Some((user_id, together)) = lines.next() {
            let storing = store_together(app.clone(), user_id, together);
            let storing = app.background.spawn(storing);
            // Should it panic, its doors learn that from their answers' absence; the line goes on.
            under_way.push(async move {
                let _ = storing.await;
                user_id
            });
        }
    }
}

/// Who waits for what, and what may begin.
#[derive(Default)]
struct Lines {
    /// Those with something that waits; the first is whose turn it is.
    turns: VecDeque<UserId>,
    of: HashMap<UserId, Line>,
    under_way: usize,
}

#[derive(Default)]
struct Line {
    waiting: Vec<Arrival>,
    /// Deliveries of those that wait.
    count: usize,
    under_way: usize,
}

impl Line {
    fn may_begin(&self) -> bool {
        self.under_way == 0 || (self.under_way < ABREAST && self.count >= WORTH_ANOTHER)
    }
}

impl Lines {
    fn join(&mut self, arrival: Arrival) {
        let line = self.of.entry(arrival.user_id).or_default();
        if line.waiting.is_empty() {
            self.turns.push_back(arrival.user_id);
        }
        line.count += arrival.deliveries.len();
        line.waiting.push(arrival);
    }

    /// What is to be stored in one transaction, now; none when all have to wait.
    fn next(&mut self) -> Option<(UserId, Vec<Arrival>)> {
        if self.under_way == AT_ONCE {
            return None;
        }
        let may_begin = |user_id: &UserId| self.of.get(user_id).is_some_and(Line::may_begin);
        let place = self.turns.iter().position(may_begin)?;
        let user_id = self.turns.remove(place)?;
        let line = self.of.get_mut(&user_id)?;
        let (mut taken, mut count) = (0, 0);
        while count < TOGETHER && taken < line.waiting.len() {
            count += line.waiting[taken].deliveries.len();
            taken += 1;
        }
        let together: Vec<Arrival> = line.waiting.drain(..taken).collect();
        line.count -= count;
        line.under_way += 1;
        self.under_way += 1;
        if !line.waiting.is_empty() {
            self.turns.push_back(user_id);
        }
        Some((user_id, together))
    }

    fn leave(&mut self, user_id: UserId) {
        self.under_way -= 1;
        if let Entry::Occupied(mut line) = self.of.entry(user_id) {
            line.get_mut().under_way -= 1;
            if line.get().under_way == 0 && line.get().waiting.is_empty() {
                line.remove();
            }
        }
    }
}

async fn store_together(app: App, user_id: UserId, arrivals: Vec<Arrival>) {
    let mut deliveries = Vec::new();
    let mut answers = Vec::with_capacity(arrivals.len());
    for arrival in arrivals {
        let request_id = arrival.request_id;
        let with_id = |delivery| (delivery, request_id.clone());
        deliveries.extend(arrival.deliveries.into_iter().map(with_id));
        answers.push((arrival.stored, arrival.room));
    }
    let storing = store_all(&app, user_id, &deliveries);
    let outcome = tokio::time::timeout(STORED_WITHIN, storing)
        .await
        .unwrap_or_else(|_| Err(anyhow::anyhow!("it took too long")));
    if let Err(error) = &outcome {
        tracing::warn!(error = %format!("{error:#}"), "deliveries can't be stored");
    }
    for (answer, _room) in answers {
        // Whoever hung up isn't told.
        let _ = answer.send(outcome.is_ok());
    }
}

async fn store_all(
    app: &App,
    user_id: UserId,
    deliveries: &[(Delivery, Option<String>)],
) -> anyhow::Result<()> {
    let mut tx = UserScope::checked(user_id)
        .begin(&app.pools.deliveries)
        .await?;
    let grown = inbox::take(&mut tx, deliveries, app.clock.now()).await?;
    for provider in &grown {
        let request_id = deliveries
            .iter()
            .find(|(delivery, _)| delivery.provider == provider)
            .and_then(|(_, request_id)| request_id.clone());
        let once = Enqueue {
            unique_key: Some(provider.clone()),
            request_id,
            ..Enqueue::default()
        };
        let delivered = Delivered {
            provider: provider.clone(),
        };
        app.tasks.enqueue(&mut tx, &delivered, once).await?;
    }
    tx.commit().await?;
    if !grown.is_empty() {
        app.tasks.wake();
    }
    Ok(())
}
