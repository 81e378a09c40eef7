//! Mails written from their parts, for tests, the demo and Calendar's invitations.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use mail_builder::MessageBuilder;
use mail_builder::headers::message_id::MessageId;
use mail_builder::headers::raw::Raw;
use mail_builder::headers::text::Text;
use serde::Deserialize;

use super::mime;

/// A mail in parts. Addresses are as in a header: `Ann Lee <ann@example.com>`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Letter {
    pub from: String,
    pub to: Vec<String>,
    pub cc: Vec<String>,
    pub subject: String,
    pub text: String,
    pub html: Option<String>,
    pub attachments: Vec<LetterAttachment>,
    pub date: Option<DateTime<Utc>>,
    /// With its angle brackets, or without.
    pub message_id: Option<String>,
    pub in_reply_to: Option<String>,
    pub references: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct LetterAttachment {
    pub filename: String,
    pub content_type: String,
    /// As base64.
    pub data: String,
}

impl Letter {
    /// An answer to a mail: its subject, and references that keep it in the thread.
    pub fn reply_to(parent: &[u8], to: &str, from: &str, text: &str) -> Self {
        let head = mime::head(parent);
        let subject = if head.subject.to_lowercase().starts_with("re:") {
            head.subject
        } else {
            format!("Re: {}", head.subject)
        };
        let mut references = head.references;
        references.extend(head.message_id.clone());
        references.dedup();
        Self {
            from: from.to_owned(),
            to: vec![to.to_owned()],
            subject,
            text: text.to_owned(),
            in_reply_to: head.message_id,
            references,
            ..Self::default()
        }
    }

    /// RFC 5322.
    pub fn write(&self, now: DateTime<Utc>) -> Vec<u8> {
        let bare = |id: &str| id.trim().trim_matches(['<', '>']).to_owned();
        let date = self.date.unwrap_or(now).to_rfc2822();
        let message_id = self
            .message_id
            .as_deref()
            .map_or_else(|| format!("{}@mail.example.com", crate::ids::token()), bare);
        let mut builder = MessageBuilder::new()
            .message_id(message_id)
            .header("Date", Raw::new(date))
            .header("From", Raw::new(self.from.clone()))
            .header("To", Raw::new(self.to.join(", ")))
            .header("Subject", Text::new(self.subject.clone()))
            .text_body(self.text.clone());
        if !self.cc.is_empty() {
            builder = builder.header("Cc", Raw::new(self.cc.join(", ")));
        }
        if let Some(html) = &self.html {
            builder = builder.html_body(html.clone());
        }
        if let Some(parent) = &self.in_reply_to {
            builder = builder.in_reply_to(bare(parent));
        }
        if !self.references.is_empty() {
            let ids: Vec<String> = self.references.iter().map(|id| bare(id)).collect();
            builder = builder.references(MessageId::new_list(ids.into_iter()));
        }
        for attachment in &self.attachments {
            let bytes = STANDARD.decode(&attachment.data).unwrap_or_default();
            builder = builder.attachment(
                attachment.content_type.clone(),
                attachment.filename.clone(),
                bytes,
            );
        }
        builder.write_to_vec().unwrap_or_default()
    }
}
