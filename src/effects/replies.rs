//! Answers that somebody waits for: which mail is one, and which only looks like it.
//!
//! An answer comes from one of the awaited addresses, and names our mail (In-Reply-To, References) or is
//! in the provider's thread of it. A subject is no sign, nor is it that a mail is the latest. What fails
//! its sender's own rules (DMARC) is no answer whatever it names; it is shown. An automatic answer isn't
//! one either, but may say until when nobody will answer; a report that our mail couldn't be delivered ends
//! the waiting.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::book::address_key;
use crate::db::Scoped;
use crate::ids;
use crate::state::App;

/// The name of the event that wakes those who wait for a reply.
pub fn came(id: Uuid) -> String {
    format!("reply:{id}")
}

/// The name of the event that tells them of an automatic answer, the first one.
pub fn is_away(id: Uuid) -> String {
    format!("away:{id}")
}

/// Whose answer to what is waited for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Awaited {
    /// Message-IDs of our mail, without brackets.
    pub message_ids: Vec<String>,
    /// The provider's conversation.
    pub thread: Option<String>,
    pub addresses: Vec<String>,
}

/// A mail that came in, as far as it matters here.
#[derive(Clone, Debug)]
pub struct Heard {
    pub email_id: Uuid,
    pub from: Option<String>,
    /// What it names in In-Reply-To, References, and inside a delivery report.
    pub names: Vec<String>,
    pub thread: Option<String>,
    /// It is what its sender's domain says it can't be.
    pub forged: bool,
    /// A machine wrote it.
    pub automatic: bool,
    /// It says that a mail couldn't be delivered.
    pub bounce: bool,
    pub at: Option<DateTime<Utc>>,
}

/// What a mail is to somebody who waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Is {
    Answer,
    Undeliverable,
    Forged,
    Automatic,
    Nothing,
}

fn judge(awaited: &Awaited, heard: &Heard) -> Is {
    let names_ours = heard
        .names
        .iter()
        .any(|name| awaited.message_ids.contains(name));
    let in_thread = heard.thread.is_some() && heard.thread == awaited.thread;
    if heard.bounce && (names_ours || in_thread) {
        return Is::Undeliverable;
    }
    let is_theirs = heard
        .from
        .as_deref()
        .map(address_key)
        .is_some_and(|key| awaited.addresses.iter().any(|one| address_key(one) == key));
    if !is_theirs || !(names_ours || in_thread) {
        return Is::Nothing;
    }
    if heard.forged {
        Is::Forged
    } else if heard.automatic || heard.bounce {
        Is::Automatic
    } else {
        Is::Answer
    }
}

/// Begins to wait. The id is the caller's, so that it is the same after a crash.
pub async fn expect(
    tx: &mut Scoped,
    id: Uuid,
    awaited: &Awaited,
    since: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query!(
        "
        insert into awaited (user_id, id, message_ids, thread, addresses, since)
        values ($1, $2, $3, $4, $5, $6)
        on conflict (user_id, id) do nothing
        ",
        user_id,
        id,
        &awaited.message_ids,
        awaited.thread,
        &awaited.addresses,
        since,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Waits no longer.
pub async fn forget(tx: &mut Scoped, id: Uuid) -> Result<(), sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query!(
        "delete from awaited where user_id = $1 and id = $2",
        user_id,
        id
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// What came that looked like an answer and wasn't taken for one.
pub async fn overheard(tx: &mut Scoped, id: Uuid) -> Result<Vec<Value>, sqlx::Error> {
    let user_id = tx.user_id();
    let heard = sqlx::query_scalar!(
        "select heard from awaited where user_id = $1 and id = $2",
        user_id,
        id
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(match heard {
        Some(Value::Array(list)) => list,
        _ => Vec::new(),
    })
}

/// Tells those who wait, within the transaction that stores the mails. Call `Tasks::wake` after it.
pub async fn hear(app: &App, tx: &mut Scoped, mails: &[Heard]) -> anyhow::Result<()> {
    let candidates: Vec<&Heard> = mails
        .iter()
        .filter(|mail| !mail.names.is_empty() || mail.thread.is_some())
        .collect();
    if candidates.is_empty() {
        return Ok(());
    }
    let user_id = tx.user_id();
    let waiting = sqlx::query!(
        "select id, message_ids, thread, addresses from awaited where user_id = $1 order by id",
        user_id,
    )
    .fetch_all(&mut **tx)
    .await?;
    for row in waiting {
        let awaited = Awaited {
            message_ids: row.message_ids,
            thread: row.thread,
            addresses: row.addresses,
        };
        for mail in &candidates {
            let why = match judge(&awaited, mail) {
                Is::Nothing => continue,
                Is::Answer => {
                    let value =
                        json!({"kind": "reply", "email_id": mail.email_id, "from": mail.from});
                    app.tasks.emit(tx, &came(row.id), &value).await?;
                    continue;
                }
                Is::Undeliverable => {
                    let value = json!({"kind": "undeliverable", "email_id": mail.email_id});
                    app.tasks.emit(tx, &came(row.id), &value).await?;
                    continue;
                }
                Is::Forged => "it fails the checks of its sender's domain (DMARC)",
                Is::Automatic => {
                    let value = json!({"kind": "automatic", "email_id": mail.email_id});
                    app.tasks.emit(tx, &is_away(row.id), &value).await?;
                    "a machine answered"
                }
            };
            let entry = json!([{
                "email_id": mail.email_id, "from": mail.from, "why": why, "at": mail.at,
            }]);
            sqlx::query!(
                "update awaited set heard = heard || $3 where user_id = $1 and id = $2",
                user_id,
                row.id,
                entry,
            )
            .execute(&mut **tx)
            .await?;
        }
    }
    Ok(())
}

/// The id of a waiting: the same for every attempt at it.
pub fn id_of(run_id: Uuid, call: &str) -> Uuid {
    ids::derived(&["awaited", &run_id.to_string(), call])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn awaited() -> Awaited {
        Awaited {
            message_ids: vec!["ours@advisors.example".to_owned()],
            thread: Some("t1".to_owned()),
            addresses: vec!["sara@example.com".to_owned()],
        }
    }

    fn heard(from: &str) -> Heard {
        Heard {
            email_id: Uuid::from_u128(1),
            from: Some(from.to_owned()),
            names: vec!["ours@advisors.example".to_owned()],
            thread: None,
            forged: false,
            automatic: false,
            bounce: false,
            at: None,
        }
    }

    #[test]
    fn only_the_awaited_wake() {
        let answer = heard("Sara@Example.com");
        assert_eq!(judge(&awaited(), &answer), Is::Answer);
        assert_eq!(judge(&awaited(), &heard("sara@examp1e.com")), Is::Nothing);
        assert_eq!(judge(&awaited(), &heard("tom@example.com")), Is::Nothing);
        let mut in_thread = heard("sara@example.com");
        in_thread.names.clear();
        assert_eq!(judge(&awaited(), &in_thread), Is::Nothing);
        in_thread.thread = Some("t1".to_owned());
        assert_eq!(judge(&awaited(), &in_thread), Is::Answer);
        let forged = Heard {
            forged: true,
            ..answer.clone()
        };
        assert_eq!(judge(&awaited(), &forged), Is::Forged);
        let away = Heard {
            automatic: true,
            ..answer
        };
        assert_eq!(judge(&awaited(), &away), Is::Automatic);
        let bounce = Heard {
            bounce: true,
            automatic: true,
            ..heard("mailer-daemon@example.net")
        };
        assert_eq!(judge(&awaited(), &bounce), Is::Undeliverable);
    }
}
