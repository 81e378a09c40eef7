//! From the doors into the database: what arrives at about the same time is one transaction for each
//! user, whose commit answers all that are in it.
//!
//! No timer gathers them: while one round is under way the next one fills. So a single delivery is
//! stored at once, and a flood costs few commits. A door answers when its deliveries are durable, and
//! says 503 when they can't be, when too many wait, or when it takes longer than its sender waits.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
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
/// Arrivals of one round.
const ROUND: usize = 512;
/// Deliveries of one transaction, the last arrival apart, which isn't cut.
const TOGETHER: usize = 2000;
/// HubSpot waits for five seconds. One user's trouble keeps the others no longer than this, either.
const STORED_WITHIN: Duration = Duration::from_secs(4);
/// Users whose transactions are under way at once: few, the pool has to serve everybody.
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
        }
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
    let mut round = Vec::with_capacity(ROUND);
    while arrivals.recv_many(&mut round, ROUND).await > 0 {
        let mut by_user: HashMap<UserId, Vec<Arrival>> = HashMap::new();
        for arrival in round.drain(..) {
            by_user.entry(arrival.user_id).or_default().push(arrival);
        }
        futures::stream::iter(by_user)
            .for_each_concurrent(AT_ONCE, |(user_id, arrivals)| {
                store_for(&app, user_id, arrivals)
            })
            .await;
    }
}

/// All of one user's, in as many transactions as it takes.
async fn store_for(app: &App, user_id: UserId, arrivals: Vec<Arrival>) {
    let mut together = Vec::new();
    let mut count = 0;
    for arrival in arrivals {
        count += arrival.deliveries.len();
        together.push(arrival);
        if count >= TOGETHER {
            store_together(app, user_id, std::mem::take(&mut together)).await;
            count = 0;
        }
    }
    if !together.is_empty() {
        store_together(app, user_id, together).await;
    }
}

async fn store_together(app: &App, user_id: UserId, arrivals: Vec<Arrival>) {
    let mut deliveries = Vec::new();
    let mut answers = Vec::with_capacity(arrivals.len());
    for arrival in arrivals {
        let request_id = arrival.request_id;
        let with_id = |delivery| (delivery, request_id.clone());
        deliveries.extend(arrival.deliveries.into_iter().map(with_id));
        answers.push((arrival.stored, arrival.room));
    }
    let storing = store_all(app, user_id, &deliveries);
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
    let mut tx = UserScope::checked(user_id).begin(&app.pool).await?;
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
