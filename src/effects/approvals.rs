//! What is to be done, as it is stored for the user's word: exactly this input, once.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::action::{Action, Wrong};
use super::policy::{self, Bounds, Circle, Risk};
use super::replies;
use crate::activity::{self, Actor, Why};
use crate::book::Kind;
use crate::db::Scoped;
use crate::http::Cursor;
use crate::ids;
use crate::live::Topic;
use crate::state::App;

/// For how long the user's word is waited for.
const VALID: TimeDelta = TimeDelta::days(7);

/// Something that is wanted.
#[derive(Debug)]
pub struct Proposal<'a> {
    pub action: &'a Action,
    /// Why, in words for the user.
    pub reason: String,
    pub bounds: &'a Bounds,
    pub why: Why,
    /// The same wish has the same key, however often and in whatever words it is uttered.
    pub key: String,
    /// Asked again because nobody knows what became of the last time.
    pub doubt: Option<String>,
}

/// What the assistant or a rule wants to do, and what became of it.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Approval {
    pub id: Uuid,
    #[schema(value_type = ActionName)]
    pub action: String,
    /// What will be done, as it will be done; each action has its own.
    #[schema(value_type = Input)]
    pub input: Value,
    /// SHA-256 over the action, the input, whose it is, and the rules by which it was judged.
    pub digest: String,
    /// The input as it was first wanted, where the user has changed it.
    #[schema(value_type = Option<Input>)]
    pub proposed: Option<Value>,
    /// What will be done, in words.
    #[schema(value_type = Preview)]
    pub preview: Value,
    pub reason: String,
    /// What speaks against it. Show all of it before it is allowed.
    #[schema(value_type = Vec<Risk>)]
    pub risk: Value,
    /// What was in view when it was thought of.
    #[schema(value_type = Vec<Source>)]
    pub sources: Value,
    #[schema(value_type = CausedBy)]
    pub caused_by: Value,
    #[schema(value_type = ApprovalState)]
    pub state: String,
    /// Nobody was asked: a setting or a rule allows it.
    pub automatic: bool,
    /// What the user said when refusing, or why it became stale.
    pub decision: Option<String>,
    /// What came of doing it; null until then.
    #[schema(value_type = Option<Came>)]
    pub outcome: Option<Value>,
    pub created_at: DateTime<Utc>,
    pub decided_at: Option<DateTime<Utc>>,
    pub expires_at: DateTime<Utc>,
    #[serde(skip)]
    pub bounds: Value,
}

/// What can be done outside.
#[derive(utoipa::ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "describes the contract")]
pub enum ActionName {
    SendEmail,
    CreateEvent,
    UpdateEvent,
    CancelEvent,
    CreateContact,
    UpdateContact,
    CreateNote,
}

/// Where an approval stands.
#[derive(utoipa::ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "describes the contract")]
pub enum ApprovalState {
    Pending,
    Approved,
    Rejected,
    Expired,
    Stale,
    Superseded,
}

/// The input of an action: of `send_email` `to`, `cc`, `bcc`, `subject`, `text`; of `create_event` `title`, `start`,
/// `end`, `attendees`, `location`, `description`; of `update_contact` `name` and `changes`; and so on.
#[derive(utoipa::ToSchema)]
#[schema(as = ActionInput)]
#[expect(dead_code, reason = "describes the contract")]
pub struct Input(HashMap<String, Value>);

/// An action in words, made of its input alone.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes the contract")]
pub struct Preview {
    summary: String,
    /// Everybody whom it reaches.
    recipients: Vec<Recipient>,
    fields: Vec<Field>,
}

/// An address in full.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes the contract")]
pub struct Recipient {
    address: String,
    /// With everything that only looks like a Latin letter written out.
    ascii: String,
}

/// A part of the input in words.
#[derive(utoipa::ToSchema)]
#[schema(as = PreviewField)]
#[expect(dead_code, reason = "describes the contract")]
pub struct Field {
    label: String,
    value: String,
}

/// Something that was in view.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes the contract")]
pub struct Source {
    kind: Kind,
    id: Uuid,
    title: String,
}

/// Who wanted it.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes the contract")]
pub struct CausedBy {
    kind: CauseKind,
    id: Option<Uuid>,
    conversation_id: Option<Uuid>,
    rule_id: Option<Uuid>,
    task_id: Option<Uuid>,
    event_id: Option<Uuid>,
}

/// What an action comes from.
#[derive(utoipa::ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "describes the contract")]
pub enum CauseKind {
    Rule,
    Conversation,
    Task,
}

/// What came of an action.
#[derive(utoipa::ToSchema)]
#[schema(as = Outcome)]
#[expect(dead_code, reason = "describes the contract")]
pub struct Came {
    state: CameState,
    /// What the provider said; of one that is done.
    result: Option<HashMap<String, Value>>,
    /// Of one that isn't, in words.
    error: Option<String>,
}

/// Whether it was done; `unknown` is never tried again by itself.
#[derive(utoipa::ToSchema)]
#[schema(as = OutcomeState, rename_all = "snake_case")]
#[expect(dead_code, reason = "describes the contract")]
pub enum CameState {
    Done,
    Failed,
    Unknown,
}

impl Approval {
    /// The action, read from what is stored.
    pub(super) fn action(&self) -> Result<Action, Wrong> {
        Action::of(&self.action, &self.input)
    }

    pub(super) fn why(&self) -> Why {
        serde_json::from_value(self.caused_by.clone()).unwrap_or_default()
    }

    /// Who wanted it, for the diary.
    pub(super) fn actor(&self) -> Actor {
        if self.why().rule_id.is_some() {
            Actor::Rule
        } else {
            Actor::Assistant
        }
    }
}

/// The name of the event that wakes those who wait for a decision.
pub fn decided(id: Uuid) -> String {
    format!("approval:{id}")
}

fn digest(user_id: Uuid, action: &str, input: &Value) -> anyhow::Result<String> {
    let canonical = serde_json_canonicalizer::to_string(input)?;
    let version = policy::VERSION.to_string();
    Ok(hex::encode(ids::digest(&[
        &user_id.to_string(),
        action,
        &version,
        &canonical,
    ])))
}

/// Rendered from the input alone, so that it can't say anything else.
fn preview(action: &Action) -> Value {
    let recipients: Vec<Value> = action
        .recipients()
        .into_iter()
        .map(|address| {
            let (local, domain) = address.rsplit_once('@').unwrap_or(("", address));
            let (unicode, _) = idna::domain_to_unicode(domain);
            let ascii = address
                .chars()
                .flat_map(char::escape_default)
                .filter(|c| *c != '\\' || !address.is_ascii())
                .collect::<String>();
            json!({"address": format!("{local}@{unicode}"), "ascii": ascii})
        })
        .collect();
    let mut fields = Vec::new();
    if let Value::Object(input) = action.input() {
        for (name, value) in input {
            let shown = match value {
                Value::Null => continue,
                Value::String(text) if text.is_empty() => continue,
                Value::String(text) => text,
                Value::Array(list) if list.is_empty() => continue,
                Value::Array(list) if list.iter().all(Value::is_string) => list
                    .iter()
                    .filter_map(Value::as_str)
                    .collect::<Vec<_>>()
                    .join(", "),
                other => other.to_string(),
            };
            fields.push(json!({"label": name, "value": shown}));
        }
    }
    json!({"summary": action.summary(), "recipients": recipients, "fields": fields})
}

/// Stores what is wanted, judged; or finds it, if it was stored before. Within the transaction of the
/// decision to want it.
pub async fn propose(
    app: &App,
    tx: &mut Scoped,
    proposal: Proposal<'_>,
) -> anyhow::Result<Approval> {
    let now = app.clock.now();
    if let Some(before) = find_by_key(tx, &proposal.key, now).await? {
        return Ok(before);
    }
    let circle = Circle::read(tx, now - TimeDelta::hours(1)).await?;
    let mut verdict = circle.judge(proposal.action, proposal.bounds);
    if let Some(doubt) = proposal.doubt {
        verdict.automatic = false;
        verdict.risks.insert(
            0,
            Risk {
                code: "may_be_done".to_owned(),
                text: doubt,
            },
        );
    }
    let user_id = tx.user_id();
    let (name, input) = (proposal.action.name(), proposal.action.input());
    let useful_until = proposal.action.useful_until().filter(|end| *end > now);
    let expires_at = useful_until.map_or(now + VALID, |end| end.min(now + VALID));
    let sources: Vec<Value> = proposal
        .bounds
        .seen
        .iter()
        .map(|item| json!({"kind": item.kind, "id": item.id, "title": item.title}))
        .collect();
    let why = &proposal.why;
    let mut caused_by = serde_json::to_value(why)?;
    let (kind, id) = if let Some(id) = why.rule_id {
        ("rule", Some(id))
    } else if let Some(id) = why.conversation_id {
        ("conversation", Some(id))
    } else {
        ("task", why.task_id)
    };
    caused_by["kind"] = json!(kind);
    caused_by["id"] = json!(id);
    sqlx::query!(
        "
        insert into approvals (user_id, id, action, input, digest, preview, reason, risk, sources,
            caused_by, bounds, state, automatic, policy_version, cause_key, created_at, decided_at,
            expires_at, task_id)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11,
            case when $12 then 'approved' else 'pending' end, $12, $13, $14, $15,
            case when $12 then $15::timestamptz end, $16, $17)
        on conflict (user_id, cause_key) do nothing
        ",
        user_id,
        ids::next(),
        name,
        input,
        digest(user_id, name, &input)?,
        preview(proposal.action),
        proposal.reason,
        json!(verdict.risks),
        json!(sources),
        caused_by,
        serde_json::to_value(proposal.bounds)?,
        verdict.automatic,
        policy::VERSION,
        proposal.key,
        now,
        expires_at,
        why.task_id,
    )
    .execute(&mut **tx)
    .await?;
    find_by_key(tx, &proposal.key, now)
        .await?
        .ok_or_else(|| anyhow::anyhow!("a proposal that was stored is gone"))
}

pub(super) async fn automatic_since(
    tx: &mut Scoped,
    since: DateTime<Utc>,
) -> Result<i64, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_scalar!(
        r#"
        select count(*) as "count!" from approvals
        where user_id = $1 and automatic and id > $2 and created_at > $3
        "#,
        user_id,
        // Ids are of the system's time; the program's may be ahead of it.
        ids::first_of(since - TimeDelta::days(3650)),
        since,
    )
    .fetch_one(&mut **tx)
    .await
}

/// What is past its time is expired, and what nobody is left to do is superseded, whether or not anybody has
/// written that down yet. A task that is tried again brings back what it waits for.
macro_rules! approvals {
    ($tx:expr, $now:expr, $rest:literal, $($value:expr),* $(,)?) => {
        sqlx::query_as!(
            Approval,
            r#"
            select id, action, input, digest, proposed, preview, reason, risk, sources, caused_by,
                state as "state!", automatic, decision, outcome, created_at, decided_at, expires_at, bounds
            from (
                select user_id, id, action, input, digest, proposed, preview, reason, risk, sources,
                    caused_by, automatic, decision, outcome, created_at, decided_at, expires_at, bounds,
                    cause_key,
                    case
                        when state <> 'pending' then state
                        when expires_at <= $2 then 'expired'
                        when task_id is not null and not exists (
                            select from tasks
                            where tasks.user_id = approvals.user_id and public_id = approvals.task_id
                        ) then 'superseded'
                        else state
                    end as state
                from approvals
            ) as approvals
            where user_id = $1 and "#
                + $rest,
            $tx.user_id(),
            $now,
            $($value),*
        )
    };
}

/// The one that was proposed under this key.
pub async fn find_by_key(
    tx: &mut Scoped,
    key: &str,
    now: DateTime<Utc>,
) -> Result<Option<Approval>, sqlx::Error> {
    approvals!(tx, now, "cause_key = $3", key)
        .fetch_optional(&mut **tx)
        .await
}

/// One of the user's.
pub async fn find(
    tx: &mut Scoped,
    id: Uuid,
    now: DateTime<Utc>,
) -> Result<Option<Approval>, sqlx::Error> {
    approvals!(tx, now, "id = $3", id)
        .fetch_optional(&mut **tx)
        .await
}

/// Newest first, one more than `limit`; what nobody was asked about is left out.
pub(super) async fn list(
    tx: &mut Scoped,
    now: DateTime<Utc>,
    state: Option<&str>,
    limit: i64,
    after: Option<Cursor>,
) -> Result<Vec<Approval>, sqlx::Error> {
    approvals!(
        tx,
        now,
        "not automatic and ($5::uuid is null or id < $5)
            and ($3::text is null or state = $3)
            order by id desc
            limit $4::bigint + 1",
        state,
        limit,
        after.map(|cursor| cursor.id),
    )
    .fetch_all(&mut **tx)
    .await
}

/// How a decision went.
#[derive(Debug)]
pub(super) enum Decided {
    Yes(Box<Approval>),
    Absent,
    /// It has been decided, or its time is over: its state.
    Over(String),
    OtherDigest,
    Wrong(Wrong),
}

/// What the user says.
pub(super) enum Word {
    Approve {
        expected_digest: Option<String>,
        input: Option<Value>,
    },
    Reject {
        reason: Option<String>,
    },
}

/// Takes the user's word: one conditional update, so that the second of two comes too late.
pub(super) async fn decide(
    app: &App,
    tx: &mut Scoped,
    id: Uuid,
    word: Word,
) -> anyhow::Result<Decided> {
    let (user_id, now) = (tx.user_id(), app.clock.now());
    let Some(before) = find(tx, id, now).await? else {
        return Ok(Decided::Absent);
    };
    if before.state != "pending" {
        return Ok(Decided::Over(before.state));
    }
    let decided_now = match word {
        Word::Approve {
            expected_digest,
            input,
        } => {
            if expected_digest.is_some_and(|digest| digest != before.digest) {
                return Ok(Decided::OtherDigest);
            }
            let edited = match input {
                None => None,
                Some(input) => match Action::of(&before.action, &input) {
                    Err(wrong) => return Ok(Decided::Wrong(wrong)),
                    Ok(action) => Some(action).filter(|action| action.input() != before.input),
                },
            };
            let mut changed = before.clone();
            if let Some(action) = edited {
                // Whom the user writes down is named by the user.
                let mut bounds: Bounds = serde_json::from_value(before.bounds.clone())?;
                bounds.named.extend(action.recipient_keys());
                bounds.said.push('\n');
                bounds.said.push_str(&action.words());
                let circle = Circle::read(tx, now - TimeDelta::hours(1)).await?;
                changed.input = action.input();
                changed.digest = digest(user_id, &before.action, &changed.input)?;
                changed.proposed = Some(before.input.clone());
                changed.preview = preview(&action);
                changed.risk = json!(circle.judge(&action, &bounds).risks);
            }
            sqlx::query!(
                "
                update approvals
                set state = 'approved', decided_at = $3, input = $4, digest = $5, proposed = $6,
                    preview = $7, risk = $8
                where user_id = $1 and id = $2 and state = 'pending' and expires_at > $3
                    and digest = $9
                ",
                user_id,
                id,
                now,
                changed.input,
                changed.digest,
                changed.proposed,
                changed.preview,
                changed.risk,
                before.digest,
            )
            .execute(&mut **tx)
            .await?
            .rows_affected()
                == 1
        }
        Word::Reject { reason } => {
            let rejected = end(tx, id, "rejected", reason.as_deref(), now).await?;
            if rejected {
                note_refusal(tx, &before, Actor::User, "rejected", reason, now).await?;
            }
            rejected
        }
    };
    let after = find(tx, id, now).await?;
    let Some(after) = after else {
        return Ok(Decided::Absent);
    };
    if !decided_now {
        return Ok(Decided::Over(after.state));
    }
    app.tasks
        .emit(tx, &decided(id), &json!({"state": after.state}))
        .await?;
    Ok(Decided::Yes(Box::new(after)))
}

/// Ends what is pending, without anything being done.
pub(super) async fn end(
    tx: &mut Scoped,
    id: Uuid,
    state: &str,
    words: Option<&str>,
    now: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query!(
        "
        update approvals set state = $3, decision = $4, decided_at = $5
        where user_id = $1 and id = $2 and state = 'pending'
        ",
        user_id,
        id,
        state,
        words,
        now,
    )
    .execute(&mut **tx)
    .await
    .map(|done| done.rows_affected() == 1)
}

/// What was allowed can no longer be done as it was thought of.
pub(super) async fn make_stale(
    tx: &mut Scoped,
    approval: &Approval,
    words: &str,
    now: DateTime<Utc>,
) -> anyhow::Result<()> {
    let user_id = tx.user_id();
    let changed = sqlx::query!(
        "
        update approvals set state = 'stale', decision = $3
        where user_id = $1 and id = $2 and state = 'approved' and outcome is null
        ",
        user_id,
        approval.id,
        words,
    )
    .execute(&mut **tx)
    .await?;
    if changed.rows_affected() == 1 {
        let words = Some(words.to_owned());
        note_refusal(tx, approval, Actor::System, "stale", words, now).await?;
    }
    Ok(())
}

/// Writes down what came of it.
pub(super) async fn keep_outcome(
    tx: &mut Scoped,
    id: Uuid,
    task_id: Uuid,
    outcome: &Value,
) -> Result<(), sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query!(
        "update approvals set outcome = $3, task_id = $4 where user_id = $1 and id = $2",
        user_id,
        id,
        outcome,
        task_id,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// What wasn't done is in the diary too.
pub(super) async fn note_refusal(
    tx: &mut Scoped,
    approval: &Approval,
    actor: Actor,
    state: &str,
    words: Option<String>,
    now: DateTime<Utc>,
) -> anyhow::Result<()> {
    let action = approval.action().ok();
    let entry = activity::New {
        target: action.map(|action| action.target()),
        proposed: Some(approval.input.clone()),
        result: Some(json!({"state": state, "reason": words, "approval_id": approval.id})),
        ..activity::New::of(actor, &approval.action, approval.why())
    };
    activity::append(tx, entry, now).await?;
    Ok(())
}

/// Tells the user's browsers.
pub fn tell(app: &App, scope: crate::db::UserScope, approval: &Approval) {
    let data = json!({"id": approval.id, "state": approval.state});
    app.live.tell(scope.user_id(), Topic::Approval, data);
    app.metrics.approval(&approval.action, &approval.state);
}

/// The keys on which an approval's waiting ends.
pub(super) fn waited_for(id: Uuid, reply: Option<Uuid>) -> Vec<String> {
    let mut keys = vec![decided(id)];
    keys.extend(reply.map(replies::came));
    keys
}
