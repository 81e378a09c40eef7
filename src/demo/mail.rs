//! One mail of the fictional book, and how it looks on the wire.
//!
//! A [`Mail`] keeps what its author wrote apart from what is quoted below, because only the former
//! states anything: the questions look at [`Mail::fresh`], a mailbox sees everything. Messages are
//! built by `mail-builder`; all that it would draw at random (ids, boundaries) is given to it, so
//! that the same seed yields the same bytes. Knows no facts.

use std::io::{self, Write};

use chrono::{DateTime, FixedOffset};
use mail_builder::MessageBuilder;
use mail_builder::headers::address::Address;
use mail_builder::headers::content_type::ContentType;
use mail_builder::headers::message_id::MessageId;
use mail_builder::headers::text::Text;
use mail_builder::mime::{BodyPart, MimePart};

use super::people::Person;

/// A name with its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    pub name: String,
    pub email: String,
}

impl From<&Person> for Mailbox {
    fn from(person: &Person) -> Self {
        Self {
            name: person.full_name(),
            email: person.email.clone(),
        }
    }
}

/// The message that a reply carries below its own text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quoted {
    /// "On … wrote:"
    pub attribution: String,
    /// The whole text of the quoted message, its own quotes included.
    pub text: String,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// Without angle brackets.
    pub message_id: String,
    pub in_reply_to: Option<String>,
    /// Oldest first.
    pub references: Vec<String>,
    pub at: DateTime<FixedOffset>,
    pub from: Mailbox,
    pub to: Vec<Mailbox>,
    pub subject: String,
    /// What the author wrote, in paragraphs parted by empty lines.
    pub text: String,
    /// Greeting and name; may begin with the `-- ` delimiter.
    pub signature: String,
    pub quoted: Option<Quoted>,
    /// Also as HTML, in a `multipart/alternative`.
    pub html: bool,
    /// A circular: carries `List-Id`.
    pub list_id: Option<String>,
}

impl Mail {
    /// What is new in this message: all that its author wrote, and nothing quoted.
    pub fn fresh(&self) -> String {
        format!("{}\n\n{}", self.text, self.signature)
    }

    /// The plain-text body as sent.
    pub fn full_text(&self) -> String {
        let mut text = self.fresh();
        if let Some(quoted) = &self.quoted {
            text.push_str("\n\n");
            text.push_str(&quoted.attribution);
            text.push_str("\n\n");
            for line in quoted.text.lines() {
                let nested = line.is_empty() || line.starts_with('>');
                text.push_str(if nested { ">" } else { "> " });
                text.push_str(line);
                text.push('\n');
            }
        }
        text
    }

    /// This message as a reply quotes it.
    pub fn as_quoted(&self) -> Quoted {
        // Two programs' habits; the plainer one belongs to who sends plain text.
        let date = if self.html {
            "%a, %b %-d, %Y at %-I:%M %p"
        } else {
            "%b %-d, %Y, at %-I:%M %p,"
        };
        Quoted {
            attribution: format!(
                "On {} {} <{}> wrote:",
                self.at.format(date),
                self.from.name,
                self.from.email
            ),
            text: self.full_text(),
        }
    }

    fn html_text(&self) -> String {
        let mut html = String::from("<!DOCTYPE html>\n<html><body>\n");
        push_paragraphs(&mut html, &self.text);
        html.push_str("<div class=\"signature\">");
        html.push_str(&escape(&self.signature).replace('\n', "<br>\n"));
        html.push_str("</div>\n");
        if let Some(quoted) = &self.quoted {
            html.push_str("<div class=\"gmail_quote\"><div class=\"gmail_attr\">");
            html.push_str(&escape(&quoted.attribution));
            html.push_str("</div>\n<blockquote class=\"gmail_quote\">\n");
            push_paragraphs(&mut html, &quoted.text);
            html.push_str("</blockquote></div>\n");
        }
        html.push_str("</body></html>\n");
        html
    }

    /// The message in the format of RFC 5322, lines ended by CRLF.
    pub fn to_bytes(&self) -> io::Result<Vec<u8>> {
        let text = MimePart::new("text/plain", BodyPart::from(self.full_text()));
        let body = if self.html {
            let boundary = format!("=_{}", self.message_id.replace(['@', '.'], "-"));
            MimePart::new(
                ContentType::new("multipart/alternative").attribute("boundary", boundary),
                vec![
                    text,
                    MimePart::new("text/html", BodyPart::from(self.html_text())),
                ],
            )
        } else {
            text
        };
        let mut builder = MessageBuilder::new()
            .message_id(self.message_id.as_str())
            .header("Date", Text::new(self.at.to_rfc2822()))
            .from(address(&self.from))
            .to(Address::new_list(self.to.iter().map(address).collect()))
            .subject(self.subject.as_str())
            .body(body);
        if let Some(parent) = &self.in_reply_to {
            builder = builder.in_reply_to(parent.as_str());
        }
        if !self.references.is_empty() {
            builder = builder.references(MessageId::new_list(
                self.references.iter().map(String::as_str),
            ));
        }
        if let Some(list) = &self.list_id {
            builder = builder.header("List-Id", Text::new(format!("<{list}>")));
        }
        builder.write_to_vec()
    }
}

fn address(mailbox: &Mailbox) -> Address<'_> {
    Address::new_address(Some(mailbox.name.as_str()), mailbox.email.as_str())
}

fn push_paragraphs(html: &mut String, text: &str) {
    for paragraph in text.split("\n\n") {
        html.push_str("<p>");
        html.push_str(&escape(paragraph.trim_end()).replace('\n', "<br>\n"));
        html.push_str("</p>\n");
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// Writes messages as one mbox: lines ended by LF, `From ` in a body escaped with `>` and an
/// escaped one once more (the "mboxrd" reading, the only one that can be undone).
pub fn write_mbox<'a>(
    mails: impl IntoIterator<Item = &'a Mail>,
    mut out: impl Write,
) -> io::Result<()> {
    for mail in mails {
        writeln!(
            out,
            "From {} {}",
            mail.from.email,
            mail.at.to_utc().format("%a %b %e %H:%M:%S %Y")
        )?;
        let bytes = mail.to_bytes()?;
        let bytes = bytes.strip_suffix(b"\r\n").unwrap_or(&bytes);
        for line in bytes.split(|&byte| byte == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let unquoted = line.iter().position(|&byte| byte != b'>').unwrap_or(0);
            if line[unquoted..].starts_with(b"From ") {
                out.write_all(b">")?;
            }
            out.write_all(line)?;
            out.write_all(b"\n")?;
        }
        // The empty line that parts one message from the next.
        out.write_all(b"\n")?;
    }
    Ok(())
}
