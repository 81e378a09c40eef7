//! Waiting for an answer: over days, by the user's working days, and never for ever.

use chrono::{DateTime, Datelike as _, NaiveDate, TimeDelta, TimeZone as _, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::answer::{Answered, result};
use super::{End, Going, away};
use crate::agent::tools::read::show_email;
use crate::agent::tools::{WaitForReply, arguments, written};
use crate::agent::work::Turn;
use crate::book;
use crate::effects::replies;
use crate::identity::settings::{Day, WorkingHours};
use crate::llm::external;
use crate::providers::openai::ToolCall;
use crate::retrieval::clean;
use crate::tasks::{Failure, OrFailure as _, Woken};

/// Working days until a reminder is thought of.
const PATIENCE: u32 = 3;
/// So often nobody may answer; then the user is told.
const ROUNDS: usize = 3;
const MOST_SHOWN: usize = 3;

/// Fixed when the waiting begins.
#[derive(Serialize, Deserialize)]
struct Times {
    nudge_at: DateTime<Utc>,
    until: DateTime<Utc>,
}

/// What follows from an automatic answer.
#[derive(Serialize, Deserialize)]
struct Away {
    until: Option<NaiveDate>,
    times: Times,
}

impl Going<'_> {
    pub(super) async fn wait(
        &mut self,
        place: usize,
        index: usize,
        call: &ToolCall,
    ) -> Result<Answered, Failure> {
        let asked: Result<WaitForReply, _> =
            written(&call.arguments).and_then(|input| arguments(&input));
        let asked = match asked {
            Ok(asked) => asked,
            Err(error) => return Ok(refused(call, &error.in_words(&call.name))),
        };
        let sent: Vec<_> = self.work.unanswered().into_iter().cloned().collect();
        let Some(last) = sent.last() else {
            return Ok(refused(
                call,
                "there is no mail whose answer could be waited for: send one first",
            ));
        };
        let (context, now) = (self.context, self.context.app.clock.now());
        let name = format!("wait:{place}:{index}");
        let days = asked.days.unwrap_or(PATIENCE).clamp(1, 20);
        let times = async {
            let later =
                |from, days| working_days_later(from, days, &self.work.hours, self.work.zone);
            let nudge_at = later(now, days);
            let left = u32::try_from(ROUNDS.saturating_sub(self.work.unheard + 1)).unwrap_or(0);
            Ok(Times {
                nudge_at,
                until: later(nudge_at, days * left),
            })
        };
        let times = context.step(&format!("{name}:until"), times).await?;
        let round = self.work.heard.len() + self.work.unheard + 1;
        let shown = json!({
            "message_id": last.message_id, "thread_id": last.thread, "addresses": last.to,
            "nudge_at": times.nudge_at, "until": times.until, "round": round,
        });
        let answers: Vec<String> = sent.iter().map(|one| replies::came(one.awaited)).collect();
        let away = sent.iter().map(|one| replies::is_away(one.awaited));
        let keys = answers.iter().cloned().chain(away).collect();
        let mut woken = context
            .wait(&name, keys, times.nudge_at, Some(shown.clone()))
            .await?;
        if let Woken::Event { value, .. } = &woken
            && value["kind"] == "automatic"
        {
            let away = self.away(&name, value, &times).await?;
            let mut shown = shown;
            shown["nudge_at"] = json!(away.times.nudge_at);
            shown["until"] = json!(away.times.until);
            shown["away_until"] = json!(away.until);
            woken = context
                .wait(
                    &format!("{name}:away"),
                    answers,
                    away.times.nudge_at,
                    Some(shown),
                )
                .await?;
        }
        match woken {
            Woken::Event { value, .. } if value["kind"] == "undeliverable" => {
                Ok(Answered::Over(End::because(
                    "undeliverable",
                    format!(
                        "My mail to {} could not be delivered. Is the address right?",
                        last.to.join(", ")
                    ),
                )))
            }
            Woken::Event { value, .. } => {
                let ids: Vec<Uuid> = sent.iter().map(|one| one.awaited).collect();
                self.heard(call, &value, ids).await
            }
            Woken::TimedOut if self.work.unheard + 1 >= ROUNDS => Ok(Answered::Over(End::because(
                "no_reply",
                format!(
                    "{} has not answered “{}”, although I asked {ROUNDS} times. What shall I do?",
                    last.to.join(", "),
                    last.subject
                ),
            ))),
            Woken::TimedOut => self.not_heard(call, last.awaited, days).await,
        }
    }

    /// An automatic answer came: reminders begin on the working day after their return, where it names one.
    async fn away(&self, name: &str, value: &Value, times: &Times) -> Result<Away, Failure> {
        let (context, zone) = (self.context, self.work.zone);
        let read = async {
            let id = value["email_id"].as_str().and_then(|id| id.parse().ok());
            let mut tx = context.scope.begin(&context.app.pool).await.or_retry()?;
            let mail = match id {
                Some(id) => book::find_email(&mut tx, id).await.or_retry()?,
                None => None,
            };
            tx.commit().await.or_retry()?;
            let now = context.app.clock.now();
            let until = mail.and_then(|mail| {
                // Neither what it quotes of ours, which names other days, nor a date of writing that lies ahead.
                let written = mail.sent_at.unwrap_or(now).min(now);
                let own: String = clean::fresh_segments(&mail.text)
                    .into_iter()
                    .filter_map(|range| mail.text.get(range))
                    .collect::<Vec<_>>()
                    .join("\n");
                away::until(&own, written.with_timezone(&zone).date_naive())
            });
            let nudge_at = until
                .and_then(|day| {
                    zone.from_local_datetime(&day.and_time(self.work.hours.start))
                        .earliest()
                })
                .map(|back| working_days_later(back.to_utc(), 1, &self.work.hours, zone))
                .map_or(times.nudge_at, |back| back.max(times.nudge_at));
            Ok(Away {
                until,
                times: Times {
                    nudge_at,
                    until: times.until + (nudge_at - times.nudge_at),
                },
            })
        };
        context.step(&format!("{name}:automatic"), read).await
    }

    async fn heard(
        &mut self,
        call: &ToolCall,
        value: &Value,
        awaited: Vec<Uuid>,
    ) -> Result<Answered, Failure> {
        let before = self.work.sources.len();
        let id = value["email_id"].as_str().and_then(|id| id.parse().ok());
        let mail = self.mails(id.into_iter().collect()).await?;
        let mut content = external(&mail);
        content["state"] = json!("reply");
        let mut turn = Turn::of(result(call, &content));
        turn.seen = self.work.sources.since(before);
        turn.heard = awaited;
        Ok(Answered::With(Box::new(turn)))
    }

    async fn not_heard(
        &mut self,
        call: &ToolCall,
        awaited: Uuid,
        days: u32,
    ) -> Result<Answered, Failure> {
        let (app, scope) = (&self.context.app, self.context.scope);
        let before = self.work.sources.len();
        let mut tx = scope.begin(&app.pool).await.or_retry()?;
        let overheard = replies::overheard(&mut tx, awaited).await.or_retry()?;
        tx.commit().await.or_retry()?;
        let ids = overheard
            .iter()
            .rev()
            .take(MOST_SHOWN)
            .filter_map(|one| one["email_id"].as_str()?.parse().ok())
            .collect();
        let mails = self.mails(ids).await?;
        let mut content = external(&mails);
        content["state"] = json!("no_reply");
        content["working_days"] = json!(days);
        content["not_taken_for_an_answer"] = json!(
            overheard
                .iter()
                .map(|one| json!({"email_id": one["email_id"], "why": one["why"]}))
                .collect::<Vec<_>>()
        );
        content["what_to_do"] = json!(
            "Send one short, friendly reminder with reply_in_thread, then wait_for_reply once more. If an \
             automatic answer names a date of return, wait until then instead."
        );
        let mut turn = Turn::of(result(call, &content));
        turn.seen = self.work.sources.since(before);
        turn.unheard = true;
        Ok(Answered::With(Box::new(turn)))
    }

    async fn mails(&mut self, ids: Vec<Uuid>) -> Result<Vec<Value>, Failure> {
        let mut tx = self
            .context
            .scope
            .begin(&self.context.app.pool)
            .await
            .or_retry()?;
        let mut shown = Vec::with_capacity(ids.len());
        for id in ids {
            if let Some(email) = book::find_email(&mut tx, id).await.or_retry()? {
                shown.push(show_email(&email, &mut self.work.sources));
            }
        }
        tx.commit().await.or_retry()?;
        Ok(shown)
    }
}

fn refused(call: &ToolCall, words: &str) -> Answered {
    Answered::With(Box::new(Turn::of(result(call, &json!({"error": words})))))
}

/// The same time of day so many working days later, and within working hours.
fn working_days_later(
    from: DateTime<Utc>,
    days: u32,
    hours: &WorkingHours,
    zone: Tz,
) -> DateTime<Utc> {
    let local = from.with_timezone(&zone);
    let works = |day: chrono::NaiveDate| {
        hours.days.is_empty() || hours.days.contains(&Day::from(day.weekday()))
    };
    let mut day = local.date_naive();
    let mut left = days;
    while left > 0 {
        let Some(next) = day.succ_opt() else { break };
        day = next;
        left -= u32::from(works(day));
    }
    let time = local.time().clamp(hours.start, hours.end.max(hours.start));
    // In the hour that doesn't exist: after it.
    (0..=3)
        .find_map(|hour| {
            let at = day.and_time(time) + TimeDelta::hours(hour);
            zone.from_local_datetime(&at).earliest()
        })
        .map_or(from + TimeDelta::days(days.into()), |at| at.to_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn working_days_are_the_users() {
        let zone = Tz::America__New_York;
        let later = |from: &str, days| {
            let from = DateTime::parse_from_rfc3339(from).unwrap().to_utc();
            let later = working_days_later(from, days, &WorkingHours::default(), zone);
            later.with_timezone(&zone).format("%a %d %H:%M").to_string()
        };
        // Thursday, three days on: Tuesday.
        assert_eq!(later("2026-11-26T10:00:00-05:00", 3), "Tue 01 10:00");
        // Late on a Friday.
        assert_eq!(later("2026-11-27T22:00:00-05:00", 1), "Mon 30 17:00");
        // Over the change of the clocks the hour stays.
        assert_eq!(later("2026-10-30T10:00:00-04:00", 1), "Mon 02 10:00");
    }
}
