//! Writing outcomes: whatever has gathered while the last batch was being written, in one statement.
//! No timer: the first outcome is written at once, and batches form by themselves under load.

use std::sync::Arc;

use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::task_tracker::TaskTrackerToken;
use uuid::Uuid;

use super::{WorkerSettings, database_pause};
use crate::db::UserId;
use crate::live::Topic;
use crate::tasks::Ended;

const BATCH: usize = 500;

/// An ended attempt, and whom to tell.
pub struct Finished {
    pub ended: Ended,
    pub user_id: Option<UserId>,
    pub public_id: Uuid,
    /// The task counts as running until this is dropped: a stop waits for what is being written.
    pub running: TaskTrackerToken,
}

/// Until all senders are gone; `give_up` ends it while the database stays away.
pub async fn run(
    with: Arc<WorkerSettings>,
    mut outcomes: mpsc::Receiver<Finished>,
    give_up: CancellationToken,
) {
    let mut gathered = Vec::with_capacity(BATCH);
    while outcomes.recv_many(&mut gathered, BATCH).await > 0 {
        let (ended, whose): (Vec<_>, Vec<_>) = gathered
            .drain(..)
            .map(|finished| {
                let Finished {
                    ended,
                    user_id,
                    public_id,
                    running,
                } = finished;
                (ended, (user_id, public_id, running))
            })
            .unzip();
        with.fail_points.hit("tasks.ended");
        let mut failures = 0;
        let written = loop {
            match with.queue.finish(&ended).await {
                Ok(written) => break written,
                Err(error) => {
                    tracing::warn!(%error, count = ended.len(), "outcomes could not be written yet");
                    failures += 1;
                }
            }
            tokio::select! {
                () = tokio::time::sleep(database_pause(failures)) => {}
                () = give_up.cancelled() => return,
            }
        };
        with.fail_points.hit("tasks.written");
        for (ended, (user_id, public_id, _running)) in ended.iter().zip(whose) {
            if !written.ids.contains(&ended.lease.id) {
                tracing::warn!(task_id = %public_id, "a task's outcome came too late: another has it");
                with.metrics.lease_lost();
                continue;
            }
            with.tell(user_id, public_id);
        }
        if written.again {
            with.tasks.hints.due.notify_one();
            with.tasks.hints.ready.notify_one();
        }
    }
}

impl WorkerSettings {
    /// Tells the user's browsers that a task has changed.
    pub(super) fn tell(&self, user_id: Option<UserId>, public_id: Uuid) {
        if let Some(user_id) = user_id
            && self.live.is_heard()
        {
            self.live
                .tell(user_id, Topic::Task, json!({"task_id": public_id}));
        }
    }
}
