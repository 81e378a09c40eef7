//! What the models cost each user, by day and purpose, and whether there is something left of the day.
//! All SQL over `usage_days`.

use std::time::Duration;

use chrono::{DateTime, Days, NaiveDate, TimeZone as _, Utc};
use chrono_tz::Tz;
use serde::Serialize;
use serde_json::json;

use crate::db::Scoped;
use crate::identity::settings;
use crate::providers::openai::{Message, Tool, Usage};
use crate::state::App;
use crate::tasks::{Context, Failure, OrFailure as _};

/// What an answer is thought to take at most.
const ANSWER: i64 = 1000;
/// A task that waits for its turn at the model keeps its slot for so long.
const SLOT_IS_KEPT: Duration = Duration::from_secs(10);
/// Characters of a token, about.
const CHARS: usize = 4;

/// What the tokens were for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, utoipa::ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum Purpose {
    /// Answers in conversations.
    Chat,
    /// The assistant's work in the background.
    Assistant,
    /// Rules in plain words.
    Rules,
}

impl Purpose {
    const fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Assistant => "assistant",
            Self::Rules => "rules",
        }
    }
}

/// What is left of a user's day.
#[derive(Clone, Debug)]
pub struct Budget {
    pub used: i64,
    pub daily: i64,
    /// What is told when the day's tokens are set anew.
    changed: String,
    /// The user's next midnight.
    pub resets_at: DateTime<Utc>,
}

impl Budget {
    pub async fn read(tx: &mut Scoped, now: DateTime<Utc>) -> Result<Self, sqlx::Error> {
        let user_id = tx.user_id();
        let settings = settings::find(tx).await?;
        let used = sqlx::query_scalar!(
            r#"
            select coalesce(sum(input_tokens + output_tokens), 0)::bigint as "used!"
            from usage_days
            where user_id = $1 and day = $2
            "#,
            user_id,
            day_of(now, settings.time_zone),
        )
        .fetch_one(&mut **tx)
        .await?;
        Ok(Self {
            used,
            daily: settings.daily_token_budget,
            changed: settings::budget_changed(settings.budget_set_at),
            resets_at: next_midnight(now, settings.time_zone),
        })
    }

    /// Whether a call of about so many tokens fits.
    pub const fn affords(&self, tokens: i64) -> bool {
        self.used.saturating_add(tokens) <= self.daily
    }
}

fn day_of(now: DateTime<Utc>, zone: Tz) -> NaiveDate {
    now.with_timezone(&zone).date_naive()
}

fn next_midnight(now: DateTime<Utc>, zone: Tz) -> DateTime<Utc> {
    let tomorrow = day_of(now, zone) + Days::new(1);
    // Where the day begins at one o'clock, an hour later.
    (0..=2)
        .find_map(|hour| {
            let local = tomorrow.and_hms_opt(hour, 0, 0)?;
            zone.from_local_datetime(&local).earliest()
        })
        .map_or(now + Days::new(1), |at| at.to_utc())
}

/// About how many tokens a call takes, before it is made.
pub fn estimate(messages: &[Message], tools: &[Tool]) -> i64 {
    let said: usize = messages
        .iter()
        .map(|message| match message {
            Message::System(text) | Message::User(text) => text.len(),
            Message::Assistant { text, tool_calls } => {
                let calls = tool_calls.iter().map(|call| call.arguments.len());
                text.len() + calls.sum::<usize>()
            }
            Message::ToolResult { content, .. } => content.len(),
        })
        .sum();
    let offered: usize = tools
        .iter()
        .map(|tool| tool.description.len() + tool.parameters.to_string().len())
        .sum();
    let tokens = (said + offered) / CHARS;
    i64::try_from(tokens)
        .unwrap_or(i64::MAX)
        .saturating_add(ANSWER)
}

/// For servers that don't count.
pub fn guessed(tokens: i64) -> Usage {
    Usage {
        prompt_tokens: tokens.max(0).unsigned_abs(),
        completion_tokens: 0,
    }
}

/// Sleeps until the user's next day when this one's tokens are used up, or until the user allows more. Then waits
/// for its turn among the calls of a minute, and gives the slot back when that is far off.
pub async fn afford(context: &Context<App>, tokens: i64) -> Result<(), Failure> {
    for round in 0_u32.. {
        let mut tx = context.scope.begin(&context.app.pool).await.or_retry()?;
        let budget = Budget::read(&mut tx, context.app.clock.now())
            .await
            .or_retry()?;
        tx.commit().await.or_retry()?;
        if budget.affords(tokens) {
            break;
        }
        let until = budget.resets_at;
        let name = format!("budget:{until}:{round}");
        let shown = json!({"budget_resets_at": until});
        context
            .wait(&name, vec![budget.changed], until, Some(shown))
            .await?;
    }
    let user_id = context.scope.user_id();
    let turn = context.app.limits.model_turn(user_id, SLOT_IS_KEPT).await;
    turn.map_err(Failure::Again)
}

/// Writes down what a call took.
pub async fn spend(
    tx: &mut Scoped,
    purpose: Purpose,
    usage: Usage,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let user_id = tx.user_id();
    let zone = settings::find(tx).await?.time_zone;
    sqlx::query!(
        "
        insert into usage_days (user_id, day, purpose, input_tokens, output_tokens)
        values ($1, $2, $3, $4, $5)
        on conflict (user_id, day, purpose) do update
        set input_tokens = usage_days.input_tokens + excluded.input_tokens,
            output_tokens = usage_days.output_tokens + excluded.output_tokens
        ",
        user_id,
        day_of(now, zone),
        purpose.name(),
        i64::try_from(usage.prompt_tokens).unwrap_or(i64::MAX),
        i64::try_from(usage.completion_tokens).unwrap_or(i64::MAX),
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// A day's tokens for one purpose.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Spent {
    /// In the user's time zone.
    pub day: NaiveDate,
    #[schema(value_type = Purpose)]
    pub purpose: String,
    pub input_tokens: i64,
    pub output_tokens: i64,
}

/// The latest days first.
pub(super) async fn list(tx: &mut Scoped, limit: i64) -> Result<Vec<Spent>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_as!(
        Spent,
        "
        select day, purpose, input_tokens, output_tokens
        from usage_days
        where user_id = $1
        order by day desc, purpose
        limit $2
        ",
        user_id,
        limit,
    )
    .fetch_all(&mut **tx)
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_is_the_users() {
        let at = |text: &str| DateTime::parse_from_rfc3339(text).unwrap().to_utc();
        let now = at("2026-11-24T07:00:00Z");
        assert_eq!(next_midnight(now, Tz::UTC), at("2026-11-25T00:00:00Z"));
        let honolulu = Tz::Pacific__Honolulu;
        assert_eq!(next_midnight(now, honolulu), at("2026-11-24T10:00:00Z"));
        assert_eq!(day_of(now, honolulu).to_string(), "2026-11-23");
        // Midnight doesn't exist there that day.
        let beirut = Tz::Asia__Beirut;
        assert_eq!(
            next_midnight(at("2027-03-27T12:00:00Z"), beirut),
            at("2027-03-27T22:00:00Z")
        );
    }

    #[test]
    fn nothing_at_all_affords_nothing() {
        let budget = Budget {
            used: 0,
            daily: 0,
            changed: String::new(),
            resets_at: DateTime::UNIX_EPOCH,
        };
        assert!(!budget.affords(1));
        assert!(estimate(&[Message::User("x".repeat(4000))], &[]) >= 2000);
    }
}
