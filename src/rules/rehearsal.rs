//! What a rule would have done about what happened, by the code that acts when it is on. Nothing is done.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::engine::{Decision, Ledger, Standing, decide, filled, unjudged};
use super::plain::{self, is_plain};
use super::routes::{RuleBody, read};
use super::{facts, judge};
use crate::db::UserScope;
use crate::events;
use crate::http::Problem;
use crate::state::App;

/// The latest events that a rehearsal looks at.
const REHEARSED: i64 = 2000;
/// How far a rehearsal looks back unless it is told.
const USUALLY: TimeDelta = TimeDelta::days(7);

/// What a rule would have done.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Rehearsal {
    rule: RuleBody,
    matches: Vec<Match>,
    misses: Vec<Miss>,
    /// What hangs on the rule's questions, which are asked when it is on, and not for a rehearsal.
    undecided: Vec<Undecided>,
    /// What the questions would have cost, in tokens of the model.
    estimated_tokens: i64,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Undecided {
    event: EventBody,
    asks: Vec<String>,
    /// If the answers let it.
    #[schema(value_type = Vec<WouldDo>)]
    would_do: Vec<Value>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Match {
    event: EventBody,
    #[schema(value_type = Vec<WouldDo>)]
    would_do: Vec<Value>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Miss {
    event: EventBody,
    /// Which clause, and why.
    failed: String,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct EventBody {
    id: Uuid,
    name: String,
    title: String,
    #[schema(value_type = Option<crate::book::Kind>)]
    item_kind: Option<String>,
    item_id: Option<Uuid>,
    occurred_at: DateTime<Utc>,
}

/// An action with its blanks filled in.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes the contract")]
struct WouldDo {
    action: String,
    parameters: HashMap<String, Option<String>>,
}

/// Rehearses a text in the grammar or in plain words, which the model turns into a rule first.
pub async fn rehearse(
    app: &App,
    scope: &UserScope,
    text: &str,
    since: Option<DateTime<Utc>>,
) -> Result<Rehearsal, Problem> {
    let (text, rule) = if is_plain(text) {
        plain::written(app, scope, text).await?
    } else {
        let rule = read(app, text).map_err(|words| Problem::invalid("text", words))?;
        (text.trim().to_owned(), rule)
    };
    let body = RuleBody::unsaved(text.clone(), &rule);
    let since = since.unwrap_or_else(|| app.clock.now() - USUALLY);
    let mut tx = scope.begin(&app.pool).await?;
    let events = events::since(&mut tx, since, REHEARSED).await?;
    let known = facts::of(&mut tx, events).await?;
    drop(tx);
    let standing = Standing {
        id: Uuid::nil(),
        rule: Arc::new(rule),
        text,
        is_auto: false,
    };
    let (mut matches, mut misses, mut undecided) = (Vec::new(), Vec::new(), Vec::new());
    let mut estimated_tokens = 0;
    let mut ledger = Ledger::default();
    for known in known {
        let event = EventBody {
            id: known.event.id,
            name: known.event.name.clone(),
            title: known.title.clone(),
            item_kind: known.event.item_kind.clone(),
            item_id: known.event.item_id,
            occurred_at: known.event.occurred_at,
        };
        let at = known.event.seen_at();
        let would_do = || {
            let actions = standing.rule.actions.iter();
            actions.map(|action| filled(action, &known)).collect()
        };
        match decide(&standing, &known, &ledger, at, &unjudged) {
            Decision::Unconcerned => {}
            Decision::Missed(failed) | Decision::Held(_, failed) => {
                misses.push(Miss { event, failed });
            }
            Decision::Asks(asks) => {
                estimated_tokens += judge::cost(&known, &asks);
                let would_do = would_do();
                undecided.push(Undecided {
                    event,
                    asks,
                    would_do,
                });
            }
            Decision::Acts => {
                ledger.note(&standing, &known, at);
                let would_do = would_do();
                matches.push(Match { event, would_do });
            }
        }
    }
    Ok(Rehearsal {
        rule: body,
        matches,
        misses,
        undecided,
        estimated_tokens,
    })
}
