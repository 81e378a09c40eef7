//! The live run: new events, and the rules that are on.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::act::act;
use super::engine::{Decision, Ledger, REMEMBERED, Read, Standing, decide, unjudged};
use super::facts::{self, Known};
use super::store::{self, Run};
use super::{failing, judge};
use crate::db::Scoped;
use crate::events::{self, Happened};
use crate::live::Topic;
use crate::state::App;
use crate::tasks::{Context, Failure, Handler, OrFailure as _};

/// Events dealt with in one transaction.
const AT_ONCE: i64 = 100;

impl Handler<App> for Happened {
    async fn run(self, context: Context<App>) -> Result<Value, Failure> {
        let app = &context.app;
        let (mut looked, mut acted) = (0, 0);
        let mut tx = context.begin().await?;
        events::tidy(&mut tx, app.clock.system()).await.or_retry()?;
        tx.commit().await.or_retry()?;
        loop {
            let mut tx = context.begin().await?;
            let events = events::open(&mut tx, AT_ONCE).await.or_retry()?;
            if events.is_empty() {
                break;
            }
            looked += events.len();
            acted += apply(&context, &mut tx, events).await.or_retry()?;
            tx.commit().await.or_retry()?;
            app.tasks.wake();
        }
        if acted > 0 {
            let user_id = context.scope.user_id();
            app.live.tell(user_id, Topic::Task, json!({}));
        }
        Ok(json!({"events": looked, "acted": acted}))
    }
}

/// All rules on all of these events. How many acted.
async fn apply(
    context: &Context<App>,
    tx: &mut Scoped,
    events: Vec<events::Event>,
) -> anyhow::Result<usize> {
    let now = context.app.clock.now();
    let ids: Vec<Uuid> = events.iter().map(|event| event.id).collect();
    let read = context.app.memory.of::<Read>();
    let standing: Vec<Standing> = store::enabled(tx)
        .await?
        .into_iter()
        .filter_map(|stored| Standing::read(&read, stored))
        .collect();
    let mut acted = 0;
    if !standing.is_empty() {
        let mut ledger = Ledger::of(store::marks(tx, now - REMEMBERED).await?);
        for known in facts::of(tx, events).await? {
            for rule in &standing {
                acted += usize::from(run(context, tx, rule, &known, &mut ledger).await?);
            }
        }
    }
    events::settle(tx, &ids, now).await?;
    Ok(acted)
}

/// One rule on one event. Whether it acted.
async fn run(
    context: &Context<App>,
    tx: &mut Scoped,
    standing: &Standing,
    known: &Known,
    ledger: &mut Ledger,
) -> anyhow::Result<bool> {
    let now = context.app.clock.now();
    match decide(standing, known, ledger, now, &unjudged) {
        Decision::Unconcerned | Decision::Missed(_) => Ok(false),
        Decision::Held(code, _) => {
            hold(tx, standing, known, code, now).await?;
            Ok(false)
        }
        Decision::Asks(_) => {
            judge::ask(&context.app, tx, standing, known).await?;
            Ok(false)
        }
        Decision::Acts => carry_out(context, tx, standing, known, ledger).await,
    }
}

/// Notes what held a rule back.
pub(super) async fn hold(
    tx: &mut Scoped,
    standing: &Standing,
    known: &Known,
    code: &'static str,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let run = Run::of(standing, known, code);
    store::begin_run(tx, &run, now).await.map(drop)
}

/// Does what a rule says, unless it has done so before or its tasks fail again and again. Whether it acted.
pub(super) async fn carry_out(
    context: &Context<App>,
    tx: &mut Scoped,
    standing: &Standing,
    known: &Known,
    ledger: &mut Ledger,
) -> anyhow::Result<bool> {
    let (app, now) = (&context.app, context.app.clock.now());
    if ledger.is_off(standing.id) || failing::switch_off(context, tx, standing, now).await? {
        ledger.switch_off(standing.id);
        return Ok(false);
    }
    let run = Run::of(standing, known, "acted");
    if !store::begin_run(tx, &run, now).await? {
        return Ok(false);
    }
    ledger.note(standing, known, now);
    let mut tasks = Vec::new();
    for action in &standing.rule.actions {
        tasks.extend(act(app, tx, standing, action, known).await?);
    }
    store::end_run(tx, &run, &tasks, now).await?;
    Ok(true)
}
