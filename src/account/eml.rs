//! A stored mail as a file that mail programs read. What came with it as attachments isn't kept, only what they
//! were called; the file says so.

use mail_builder::MessageBuilder;
use mail_builder::headers::address::Address;
use mail_builder::headers::date::Date;
use mail_builder::headers::text::Text;
use serde_json::Value;

/// From a row of `emails`.
pub(super) fn written(row: &Value) -> std::io::Result<Vec<u8>> {
    let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
    let one = |person: &Value| {
        let name = person["name"].as_str().map(str::to_owned);
        let address = person["address"].as_str()?.to_owned();
        Some(Address::new_address(name, address))
    };
    let many = |name: &str| {
        let people = row[name].as_array().into_iter().flatten();
        people.filter_map(one).collect::<Vec<_>>()
    };
    let mut builder = MessageBuilder::new()
        .message_id(text("message_id"))
        .header("Subject", Text::new(text("subject")));
    if let Some(from) = one(&row["sender"]) {
        builder = builder.header("From", from);
    }
    for (header, name) in [("To", "recipients"), ("Cc", "copied")] {
        let people = many(name);
        if !people.is_empty() {
            builder = builder.header(header, Address::new_list(people));
        }
    }
    if let Some(at) = row["sent_at"].as_str()
        && let Ok(at) = chrono::DateTime::parse_from_rfc3339(at)
    {
        builder = builder.header("Date", Date::new(at.timestamp()));
    }
    let names: Vec<&str> = row["attachments"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|file| file["name"].as_str())
        .collect();
    if !names.is_empty() {
        let names = names.join(", ");
        builder = builder.header("X-Attachments-Not-Kept", Text::new(names));
    }
    builder = builder.text_body(text("text"));
    if let Some(html) = row["html"].as_str() {
        builder = builder.html_body(html.to_owned());
    }
    builder.write_to_vec()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_mail_reads_back_as_it_was() {
        let row = json!({
            "message_id": "abc@example.com", "subject": "Größe\r\nBcc: eve@evil.example",
            "sender": {"name": "Ann \"A\" Advisor", "address": "ann@example.com"},
            "recipients": [{"name": null, "address": "sara@example.com"}], "copied": [],
            "sent_at": "2026-05-12T09:14:00+00:00", "text": "Hello\n\nSara", "html": "<p>Hello</p>",
            "attachments": [{"name": "plan.pdf"}],
        });
        let raw = written(&row).unwrap();
        let mail = mail_parser::MessageParser::default().parse(&raw).unwrap();
        assert_eq!(mail.message_id(), Some("abc@example.com"));
        assert!(mail.bcc().is_none(), "a subject makes no header");
        let to = mail.to().and_then(|to| to.first()).unwrap();
        assert_eq!(to.address(), Some("sara@example.com"));
        assert_eq!(mail.body_text(0).unwrap().trim(), "Hello\r\n\r\nSara");
        assert_eq!(mail.date().unwrap().to_timestamp(), 1_778_577_240);
    }
}
