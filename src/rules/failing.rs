//! A rule whose tasks fail one after the other is switched off, with a word for its user, before it acts again.

use chrono::{DateTime, Utc};
use serde_json::json;

use super::engine::Standing;
use super::store;
use crate::activity::{self, Actor, Why};
use crate::db::Scoped;
use crate::live::Topic;
use crate::state::App;
use crate::tasks::Context;

/// So many in a row.
const MOST_FAILURES: i32 = 5;
const LONGEST_ERROR: usize = 300;

/// Whether it had to be.
pub(super) async fn switch_off(
    context: &Context<App>,
    tx: &mut Scoped,
    standing: &Standing,
    now: DateTime<Utc>,
) -> anyhow::Result<bool> {
    let ends = store::latest_ends(tx, standing.id, MOST_FAILURES.into()).await?;
    let failures: Vec<String> = ends.into_iter().map_while(|wrong| wrong).collect();
    if i32::try_from(failures.len())? < MOST_FAILURES {
        return Ok(false);
    }
    let last: String = failures
        .first()
        .into_iter()
        .flat_map(|error| error.chars())
        .take(LONGEST_ERROR)
        .collect();
    let notice =
        format!("Switched off: its last {MOST_FAILURES} tasks failed. The last one said: {last}");
    if store::switch_off(tx, standing.id, MOST_FAILURES, &notice).await? {
        let entry = activity::New {
            target: Some(standing.text.clone()),
            result: Some(json!({"state": "switched_off", "reason": notice})),
            ..activity::New::of(
                Actor::System,
                "switch_off_rule",
                Why {
                    rule_id: Some(standing.id),
                    ..Why::default()
                },
            )
        };
        activity::append(tx, entry, now).await?;
        let user_id = context.scope.user_id();
        context.app.live.tell(user_id, Topic::Activity, json!({}));
    }
    Ok(true)
}
