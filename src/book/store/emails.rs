//! All SQL over `emails`.

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::{SEPARATOR, Stored, appearances, joined, json_of, mark};
use crate::book::{Kind, NewEmail, Origin};
use crate::db::Scoped;

pub async fn upsert_emails(
    tx: &mut Scoped,
    emails: &[NewEmail],
    origin: Origin,
    now: DateTime<Utc>,
) -> Result<Stored, sqlx::Error> {
    if emails.is_empty() {
        return Ok(Stored::default());
    }
    let user_id = tx.user_id();
    let mut ids = Vec::with_capacity(emails.len());
    let mut keys = Vec::with_capacity(emails.len());
    let mut message_ids = Vec::with_capacity(emails.len());
    let mut threads = Vec::with_capacity(emails.len());
    let mut subjects = Vec::with_capacity(emails.len());
    let mut senders = Vec::with_capacity(emails.len());
    let mut recipients = Vec::with_capacity(emails.len());
    let mut copied = Vec::with_capacity(emails.len());
    let mut participants = Vec::with_capacity(emails.len());
    let mut sent = Vec::with_capacity(emails.len());
    let mut texts = Vec::with_capacity(emails.len());
    let mut htmls = Vec::with_capacity(emails.len());
    let mut attachments = Vec::with_capacity(emails.len());
    for email in emails {
        ids.push(email.id);
        keys.push(email.dedupe_key().to_vec());
        message_ids.push(email.message_id.as_str());
        threads.push(email.thread_id());
        subjects.push(email.subject.as_str());
        senders.push(email.sender.as_ref().map(json_of).transpose()?);
        recipients.push(json_of(&email.to)?);
        copied.push(json_of(&email.cc)?);
        participants.push(joined(&email.participants()));
        sent.push(email.sent_at);
        texts.push(email.text.as_str());
        htmls.push(email.html.as_deref());
        attachments.push(email.attachments.clone());
    }
    let new = sqlx::query_scalar!(
        r#"
        insert into emails (id, user_id, dedupe_key, message_id, thread_id, subject, sender, recipients,
            copied, participants, sent_at, text, html, attachments, imported_at,
            from_file)
        select id, $1, key, message_id, thread_id, subject, sender, recipients, copied,
            string_to_array(participants, $16), sent_at, text, html, attachments, $15, $17
        from unnest($2::uuid[], $3::bytea[], $4::text[], $5::uuid[], $6::text[], $7::jsonb[], $8::jsonb[],
            $9::jsonb[], $10::text[], $11::timestamptz[], $12::text[], $13::text[], $14::jsonb[])
            as new (id, key, message_id, thread_id, subject, sender, recipients, copied, participants,
                sent_at, text, html, attachments)
        on conflict on constraint emails_dedupe_key do nothing
        returning id
        "#,
        user_id,
        &ids,
        &keys,
        &message_ids as &[&str],
        &threads,
        &subjects as &[&str],
        &senders as &[Option<Value>],
        &recipients,
        &copied,
        &participants,
        &sent as &[Option<DateTime<Utc>>],
        &texts as &[&str],
        &htmls as &[Option<&str>],
        &attachments,
        now,
        SEPARATOR,
        origin == Origin::File,
    )
    .fetch_all(&mut **tx)
    .await?;
    mark(tx, Kind::Email, origin, &keys).await?;
    let stored = Stored::new(new);
    let appearances = emails
        .iter()
        .filter(|email| stored.changed.contains_key(&email.id))
        .flat_map(|email| {
            let sender = email.sender.as_ref().map(|sender| &sender.address);
            appearances::of_addresses(email.id, email.sent_at, sender, &email.participants())
        });
    appearances::store(tx, Kind::Email, &stored, appearances).await?;
    Ok(stored)
}

/// A stored mail.
#[derive(Debug)]
pub struct Email {
    pub id: Uuid,
    pub message_id: String,
    pub thread_id: Uuid,
    pub subject: String,
    pub sender: Option<Value>,
    pub recipients: Value,
    pub copied: Value,
    pub sent_at: Option<DateTime<Utc>>,
    pub text: String,
    pub html: Option<String>,
    pub attachments: Value,
}

impl Email {
    /// The addresses of those who can be seen to take part.
    pub fn people(&self) -> Vec<String> {
        let lists = [&self.recipients, &self.copied];
        let named = lists.into_iter().filter_map(Value::as_array).flatten();
        self.sender
            .iter()
            .chain(named)
            .filter_map(|person| person["address"].as_str())
            .map(str::to_owned)
            .collect()
    }
}

pub async fn find_email(tx: &mut Scoped, id: Uuid) -> Result<Option<Email>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_as!(
        Email,
        "select id, message_id, thread_id, subject, sender, recipients, copied, sent_at, text, html, attachments
        from emails
        where user_id = $1 and id = $2",
        user_id,
        id,
    )
    .fetch_optional(&mut **tx)
    .await
}

/// A thread's mails, oldest first.
pub async fn list_thread(
    tx: &mut Scoped,
    thread_id: Uuid,
    limit: i64,
) -> Result<Vec<Email>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_as!(
        Email,
        "select id, message_id, thread_id, subject, sender, recipients, copied, sent_at, text,
            null::text as html, attachments
        from emails
        where user_id = $1 and thread_id = $2
        order by sent_at, id
        limit $3",
        user_id,
        thread_id,
        limit,
    )
    .fetch_all(&mut **tx)
    .await
}
