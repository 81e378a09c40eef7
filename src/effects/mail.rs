//! Sending a mail once: a draft that carries the effect's key, its id committed, then that draft sent.
//!
//! After a crash the draft is asked for: while it is there, nothing was sent. Gone, the mail is looked
//! for in its thread and among the sent ones by our own header, because Gmail may have given it another
//! Message-ID. Finding is proof; not finding isn't.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use futures::StreamExt as _;
use mail_builder::MessageBuilder;
use mail_builder::headers::address::Address;
use mail_builder::headers::message_id::MessageId;
use mail_builder::headers::text::Text;
use serde_json::{Value, json};

use super::action::SendEmail;
use super::{Found, Notes, Outward, SendError, send_error};
use crate::db::UserScope;
use crate::identity::connections::{self, Grant, Provider};
use crate::providers::Kind;
use crate::providers::google::Google;
use crate::providers::google::gmail::{Draft, Format, Gmail, Message, Search};
use crate::state::App;

/// On every mail that we send: names the effect.
pub const EFFECT_HEADER: &str = "X-Paraplanner-Effect";

const SENT: &str = "SENT";

/// The user's mailbox.
struct Mailbox<'a> {
    gmail: &'a Gmail,
    grant: Grant,
    scope: UserScope,
    app: &'a App,
}

impl<'a> Mailbox<'a> {
    fn open(app: &'a App, scope: UserScope) -> anyhow::Result<Self> {
        let google: &Google = app.google.as_deref().context("Google isn't configured")?;
        Ok(Self {
            gmail: &google.gmail,
            grant: Grant::new(app, scope, Provider::Google),
            scope,
            app,
        })
    }

    /// The user's own address, as the connection has it.
    async fn account(&self) -> anyhow::Result<String> {
        let connection = connections::find(self.app, &self.scope, Provider::Google).await?;
        Ok(connection.context("Google isn't connected")?.account)
    }

    /// The thread of the mail with this Message-ID, as Gmail names it.
    async fn thread_of(&self, message_id: &str) -> Result<Option<String>, crate::providers::Error> {
        let query = format!("rfc822msgid:{message_id}");
        let search = Search {
            query: &query,
            label: None,
            page_size: 1,
        };
        let page = self.gmail.list(&self.grant, &search, None).await?;
        Ok(page.items.into_iter().find_map(|found| found.thread_id))
    }

    /// Drafts that an earlier attempt may have left without our knowing of it.
    async fn left_behind(&self, key: &str) -> Result<Vec<Draft>, crate::providers::Error> {
        let drafts = self.gmail.drafts(&self.grant).await?;
        let ids = drafts.iter().filter_map(|draft| draft.message.as_ref());
        let ids: Vec<String> = ids.map(|message| message.id.clone()).collect();
        let ours: HashSet<String> = self
            .held(&ids)
            .await?
            .into_iter()
            .filter(|message| carries(message, key))
            .map(|message| message.id)
            .collect();
        let is_ours = |draft: &Draft| {
            let message = draft.message.as_ref();
            message.is_some_and(|message| ours.contains(&message.id))
        };
        Ok(drafts.into_iter().filter(is_ours).collect())
    }

    /// The headers of these messages; what is gone meanwhile is left out.
    async fn held(&self, ids: &[String]) -> Result<Vec<Message>, crate::providers::Error> {
        let found = self.gmail.messages(&self.grant, ids, Format::Headers);
        let mut found = std::pin::pin!(found);
        let mut held = Vec::with_capacity(ids.len());
        while let Some((_, outcome)) = found.next().await {
            match outcome {
                Ok(message) => held.push(message),
                Err(error) if error.kind == Kind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(held)
    }

    /// The mail itself, sent: looked for in its thread, among what went to its reader, and among the latest.
    /// Gmail may have given it another thread and Message-ID, a search lags, and much may have been sent since.
    async fn sent(
        &self,
        key: &str,
        known: &Value,
        reader: Option<&str>,
    ) -> Result<Option<Message>, crate::providers::Error> {
        let mut candidates = Vec::new();
        if let Some(thread) = known["thread_id"].as_str() {
            match self.gmail.thread(&self.grant, thread).await {
                Ok(messages) => candidates.extend(messages),
                Err(error) if error.kind == Kind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        let is_it = |message: &Message| {
            carries(message, key) && message.labels.iter().any(|label| label == SENT)
        };
        if let Some(found) = candidates.into_iter().find(is_it) {
            return Ok(Some(found));
        }
        let to_reader = reader.map(|reader| format!("to:{reader}"));
        for (query, page_size) in [(to_reader.as_deref(), 20), (Some(""), 100)] {
            let Some(query) = query else { continue };
            let search = Search {
                query,
                label: Some(SENT),
                page_size,
            };
            let page = self.gmail.list(&self.grant, &search, None).await?;
            let ids: Vec<String> = page.items.into_iter().map(|message| message.id).collect();
            if let Some(found) = self.held(&ids).await?.into_iter().find(is_it) {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

fn carries(message: &Message, key: &str) -> bool {
    message
        .header(EFFECT_HEADER)
        .is_some_and(|value| value.trim() == key)
}

/// What is known of a mail that was sent.
fn told(message: &Message) -> Value {
    let message_id = message
        .header("Message-ID")
        .map(|id| id.trim().trim_matches(['<', '>']).to_owned());
    json!({"gmail_id": message.id, "thread_id": message.thread_id, "message_id": message_id})
}

/// RFC 5322.
fn written(mail: &SendEmail, from: &str, key: &str) -> anyhow::Result<Vec<u8>> {
    let addresses = |list: &[String]| {
        let list = list.iter();
        Address::new_list(
            list.map(|address| Address::new_address(None::<String>, address.clone()))
                .collect(),
        )
    };
    let domain = from
        .rsplit_once('@')
        .map_or("localhost", |(_, domain)| domain);
    let mut builder = MessageBuilder::new()
        .message_id(format!("{key}@{domain}"))
        .header(
            "From",
            Address::new_address(None::<String>, from.to_owned()),
        )
        .header("To", addresses(&mail.to))
        .header("Subject", Text::new(mail.subject.clone()))
        .header(EFFECT_HEADER, Text::new(key.to_owned()))
        .text_body(mail.text.clone());
    if mail.unread {
        let how = match mail.in_reply_to {
            Some(_) => "auto-replied",
            None => "auto-generated",
        };
        builder = builder.header("Auto-Submitted", Text::new(how));
    }
    if !mail.cc.is_empty() {
        builder = builder.header("Cc", addresses(&mail.cc));
    }
    if !mail.bcc.is_empty() {
        builder = builder.header("Bcc", addresses(&mail.bcc));
    }
    if let Some(id) = &mail.in_reply_to {
        builder = builder.header("In-Reply-To", MessageId::new(id.clone()));
        let mut references = mail.references.clone();
        if !references.contains(id) {
            references.push(id.clone());
        }
        builder = builder.header("References", MessageId::new_list(references.into_iter()));
    }
    Ok(builder.write_to_vec()?)
}

impl Outward<App> for SendEmail {
    const ACTION: &'static str = "send_email";
    const PATIENCE: Duration = Duration::from_secs(300);

    async fn send(&self, app: &App, key: &str, notes: &mut Notes) -> Result<Value, SendError> {
        let mailbox = Mailbox::open(app, notes.scope()).map_err(SendError::Refused)?;
        let known = match notes.noted() {
            Some(known) => known.clone(),
            None => {
                let drafted = self.draft(&mailbox, key, notes.is_again()).await?;
                notes.note(drafted.clone()).await?;
                drafted
            }
        };
        app.fail_points.hit("effects.drafted");
        let draft_id = known["draft_id"]
            .as_str()
            .ok_or_else(|| SendError::Refused(anyhow!("the draft's id is missing")))?;
        let sent = mailbox.gmail.send_draft(&mailbox.grant, draft_id).await;
        let sent = sent.map_err(|error| {
            // The draft was sent by a try that we know nothing of, or the user has discarded it.
            if error.kind == Kind::NotFound {
                SendError::Maybe(error.into())
            } else {
                send_error(error)
            }
        })?;
        // It is out; what follows only makes it known better.
        let message = mailbox
            .gmail
            .message(&mailbox.grant, &sent.id, Format::Headers)
            .await;
        if notes.is_again()
            && let Ok(twins) = mailbox.left_behind(key).await
        {
            for twin in twins {
                let _ = mailbox.gmail.delete_draft(&mailbox.grant, &twin.id).await;
            }
        }
        let ours = known["message_id"].clone();
        let mut result = match message {
            Ok(message) => told(&message),
            Err(_) => json!({
                "gmail_id": sent.id, "thread_id": sent.thread_id, "message_id": ours.clone(),
            }),
        };
        result["own_message_id"] = ours;
        Ok(result)
    }

    async fn find(&self, app: &App, key: &str, notes: &Notes) -> anyhow::Result<Found> {
        // Without a draft that we know of, none was sent.
        let Some(known) = notes.noted() else {
            return Ok(Found::NotDone);
        };
        let mailbox = Mailbox::open(app, notes.scope())?;
        let draft_id = known["draft_id"].as_str().unwrap_or_default();
        match mailbox.gmail.draft(&mailbox.grant, draft_id).await {
            Ok(_) => return Ok(Found::NotDone),
            Err(error) if error.kind == Kind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
        Ok(
            match mailbox
                .sent(key, known, self.to.first().map(String::as_str))
                .await?
            {
                Some(message) => {
                    let mut result = told(&message);
                    result["own_message_id"] = known["message_id"].clone();
                    Found::Done(result)
                }
                None => Found::CannotTell(
                    "Its draft is gone, and it isn't among the sent mails: it may have been sent."
                        .to_owned(),
                ),
            },
        )
    }
}

impl SendEmail {
    /// A draft with this mail: a new one, or the one that an earlier attempt left.
    async fn draft(
        &self,
        mailbox: &Mailbox<'_>,
        key: &str,
        again: bool,
    ) -> Result<Value, SendError> {
        let from = mailbox.account().await.map_err(SendError::Refused)?;
        let domain = from
            .rsplit_once('@')
            .map_or("localhost", |(_, domain)| domain);
        let message_id = format!("{key}@{domain}");
        if again {
            let left = mailbox.left_behind(key).await.map_err(send_error)?;
            if let Some(draft) = left.into_iter().next() {
                return Ok(noted(&draft, &message_id));
            }
        }
        let thread = match &self.in_reply_to {
            Some(id) => mailbox.thread_of(id).await.map_err(|error| {
                let pause = match error.kind {
                    Kind::RateLimited { retry_after } => retry_after,
                    _ => None,
                };
                // Nothing but a question was sent.
                SendError::NotDone(error.into(), pause)
            })?,
            None => None,
        };
        let raw = written(self, &from, key).map_err(SendError::Refused)?;
        let draft = mailbox
            .gmail
            .create_draft(&mailbox.grant, &raw, thread.as_deref())
            .await
            .map_err(send_error)?;
        Ok(noted(&draft, &message_id))
    }
}

fn noted(draft: &Draft, message_id: &str) -> Value {
    let thread = draft
        .message
        .as_ref()
        .and_then(|message| message.thread_id.clone());
    json!({"draft_id": draft.id, "thread_id": thread, "message_id": message_id})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail() -> SendEmail {
        SendEmail {
            to: vec!["sara@example.com".to_owned()],
            cc: Vec::new(),
            bcc: Vec::new(),
            subject: "Größe, and a very long subject that has to be folded ".repeat(3),
            text: "Hello\nSara".to_owned(),
            in_reply_to: Some("abc@example.com".to_owned()),
            references: vec!["first@example.com".to_owned()],
            offers: Vec::new(),
            unread: true,
        }
    }

    #[test]
    fn a_mail_names_its_effect_and_what_it_answers() {
        let raw = written(&mail(), "ann@advisors.example", "KEY").unwrap();
        let message = mail_parser::MessageParser::default().parse(&raw).unwrap();
        assert_eq!(message.message_id(), Some("KEY@advisors.example"));
        let effect = message
            .header(EFFECT_HEADER)
            .and_then(|value| value.as_text());
        assert_eq!(effect, Some("KEY"));
        let automatic = message
            .header("Auto-Submitted")
            .and_then(|value| value.as_text());
        assert_eq!(automatic, Some("auto-replied"));
        assert_eq!(message.in_reply_to().as_text(), Some("abc@example.com"));
        let references = message.references().as_text_list().unwrap();
        assert_eq!(references, ["first@example.com", "abc@example.com"]);
        assert_eq!(
            message.subject().map(str::trim),
            Some(mail().subject.trim())
        );
        assert_eq!(message.body_text(0).unwrap().trim(), "Hello\r\nSara");
    }
}
