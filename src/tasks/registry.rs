//! Which kinds of task this program can do.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;

use serde_json::Value;

use super::{Context, Failure, Handler, OrFailure as _, Payload};

type Running = Pin<Box<dyn Future<Output = Result<Value, Failure>> + Send>>;
type Start<S> = Box<dyn Fn(Value, Context<S>) -> Running + Send + Sync>;

/// Kinds and their handlers. Unknown kinds aren't claimed: a newer version may know them.
pub struct Registry<S>(HashMap<&'static str, Start<S>>);

impl<S> Default for Registry<S> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<S: Send + 'static> Registry<S> {
    /// Adds a kind.
    #[must_use]
    pub fn with<H: Handler<S>>(mut self) -> Self {
        let start: Start<S> = Box::new(|payload, context| {
            Box::pin(async move {
                let task: H = serde_json::from_value(payload).or_fail()?;
                task.run(context).await
            })
        });
        self.0.insert(<H as Payload>::KIND, start);
        self
    }

    pub(super) fn kinds(&self) -> Vec<String> {
        self.0.keys().map(|kind| (*kind).to_owned()).collect()
    }

    /// The kind's static name (for metric labels) and its work, started.
    pub(super) fn start(
        &self,
        kind: &str,
        payload: Value,
        context: Context<S>,
    ) -> Option<(&'static str, Running)> {
        let (name, start) = self.0.get_key_value(kind)?;
        Some((name, start(payload, context)))
    }
}
