//! All SQL over `runs` and `run_turns`.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use crate::activity::Why;
use crate::agent::prompt;
use crate::agent::work::{Reach, Turn, Work};
use crate::db::Scoped;
use crate::effects::Item;

/// What is fixed when a run begins.
#[derive(Serialize, Deserialize)]
pub(super) struct Begun {
    pub why: Why,
    pub reason: String,
    pub reach: Option<Reach>,
    /// The version of the prompts by which it began.
    pub prompt: u32,
}

/// Whom and what it may use, as it stood then.
#[derive(Serialize, Deserialize)]
struct Fixed {
    named: Option<BTreeSet<String>>,
    said: String,
    rule_is_auto: bool,
    #[serde(default)]
    is_draft: bool,
    #[serde(default)]
    is_brief: bool,
    seen: Vec<Item>,
}

pub(in crate::agent) async fn begin(
    tx: &mut Scoped,
    id: Uuid,
    work: &Work,
    now: DateTime<Utc>,
) -> anyhow::Result<()> {
    let user_id = tx.user_id();
    let begun = Begun {
        why: work.why.clone(),
        reason: work.reason.clone(),
        reach: work.reach.clone(),
        prompt: prompt::VERSION,
    };
    let fixed = Fixed {
        named: work.named.clone(),
        said: work.said.clone(),
        rule_is_auto: work.rule_is_auto,
        is_draft: work.is_draft,
        is_brief: work.is_brief,
        seen: work.earlier.clone(),
    };
    sqlx::query!(
        "
        insert into runs (user_id, id, conversation_id, caused_by, bounds, created_at)
        values ($1, $2, $3, $4, $5, $6)
        ",
        user_id,
        id,
        work.why.conversation_id,
        json!(begun),
        json!(fixed),
        now,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Adds turns from this place on. Two that go on with the same run can't both: the place is taken.
pub(in crate::agent) async fn append(
    tx: &mut Scoped,
    run_id: Uuid,
    from: usize,
    turns: &[Turn],
) -> anyhow::Result<()> {
    let user_id = tx.user_id();
    let from = i32::try_from(from)?;
    let turns: Vec<serde_json::Value> = turns
        .iter()
        .map(serde_json::to_value)
        .collect::<Result<_, _>>()?;
    sqlx::query!(
        "
        insert into run_turns (user_id, run_id, place, turn)
        select $1, $2, $3 + place::int - 1, turn
        from unnest($4::jsonb[]) with ordinality as new (turn, place)
        ",
        user_id,
        run_id,
        from,
        &turns,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Puts a run's work and turns back together; none when it is gone.
pub(super) async fn load(
    tx: &mut Scoped,
    id: Uuid,
    mut work: Work,
) -> anyhow::Result<Option<(Work, Vec<Turn>)>> {
    let user_id = tx.user_id();
    let Some(run) = sqlx::query!(
        "select caused_by, bounds from runs where user_id = $1 and id = $2",
        user_id,
        id,
    )
    .fetch_optional(&mut **tx)
    .await?
    else {
        return Ok(None);
    };
    let begun: Begun = serde_json::from_value(run.caused_by)?;
    let fixed: Fixed = serde_json::from_value(run.bounds)?;
    work.why = begun.why;
    work.reason = begun.reason;
    work.reach = begun.reach;
    work.named = fixed.named;
    work.said = fixed.said;
    work.rule_is_auto = fixed.rule_is_auto;
    work.is_draft = fixed.is_draft;
    work.is_brief = fixed.is_brief;
    work.earlier = fixed.seen;
    let rows = sqlx::query_scalar!(
        "select turn from run_turns where user_id = $1 and run_id = $2 order by place",
        user_id,
        id,
    )
    .fetch_all(&mut **tx)
    .await?;
    let turns: Vec<Turn> = rows
        .into_iter()
        .map(serde_json::from_value)
        .collect::<Result<_, _>>()?;
    for turn in &turns {
        work.take(turn);
    }
    Ok(Some((work, turns)))
}
