//! What is written can be read by somebody else's parsers.

use std::collections::HashSet;

use calcard::{Entry, Parser};
use mail_parser::mailbox::mbox::MessageIterator;
use mail_parser::{HeaderValue, MessageParser};

use super::LARGE;

#[test]
fn every_mail_parses_and_threads_are_linked() {
    let mut mbox = Vec::new();
    LARGE.write_mbox(&mut mbox).unwrap();
    let parser = MessageParser::default();
    let mut ids = HashSet::new();
    let mut count = 0;
    let (mut long, mut html, mut longest_thread) = (0, 0, 0);
    for (message, mail) in MessageIterator::new(&mbox[..]).zip(&LARGE.mails) {
        let message = message.unwrap();
        let parsed = parser.parse(message.contents()).unwrap();
        assert_eq!(parsed.message_id().unwrap(), mail.message_id);
        assert!(
            ids.insert(mail.message_id.clone()),
            "{} twice",
            mail.message_id
        );
        assert_eq!(parsed.subject().unwrap(), mail.subject);
        assert_eq!(parsed.date().unwrap().to_timestamp(), mail.at.timestamp());
        let from = parsed.from().unwrap().first().unwrap();
        assert_eq!(from.address().unwrap(), mail.from.email);
        let body = parsed.body_text(0).unwrap().replace("\r\n", "\n");
        assert_eq!(body.trim_end(), mail.full_text().trim_end());
        if mail.html {
            assert!(parsed.body_html(0).unwrap().contains("<p>"));
            html += 1;
        }
        match (&mail.in_reply_to, parsed.in_reply_to()) {
            (None, HeaderValue::Empty) => assert!(mail.references.is_empty()),
            (Some(parent), HeaderValue::Text(sent)) => {
                assert_eq!(parent, sent);
                assert!(ids.contains(parent), "answered before it was written");
                assert_eq!(mail.references.last(), Some(parent));
                assert!(mail.references.iter().all(|id| ids.contains(id)));
                assert!(mail.subject.starts_with("Re: "));
                assert!(body.contains(" wrote:"));
            }
            (parent, sent) => panic!("{parent:?} was written as {sent:?}"),
        }
        longest_thread = longest_thread.max(mail.references.len() + 1);
        long += usize::from(mail.text.len() > 1000);
        count += 1;
    }
    assert_eq!(count, LARGE.mails.len());
    assert!(long > 50 && html > 500 && longest_thread == 5);
}

#[test]
fn every_address_is_reserved() {
    let reserved = |email: &str| {
        let domain = email.rsplit('@').next().unwrap();
        ["example", "example.com", "example.org", "example.net"]
            .iter()
            .any(|end| domain.ends_with(&format!(".{end}")))
    };
    for mail in &LARGE.mails {
        assert!(reserved(&mail.from.email) && reserved(&mail.message_id));
        assert!(mail.to.iter().all(|to| reserved(&to.email)));
    }
    assert!(
        LARGE
            .contacts
            .iter()
            .all(|contact| reserved(&contact.email))
    );
}

#[test]
fn cards_and_events_are_read_back() {
    let mut text = Vec::new();
    LARGE.write_vcf(&mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    let mut parser = Parser::new(&text);
    let mut cards = 0;
    while let Entry::VCard(card) = parser.entry() {
        let uid = card.uid().unwrap();
        assert_eq!(uid, LARGE.contacts[cards].uid);
        cards += 1;
    }
    assert_eq!(cards, LARGE.contacts.len());

    let mut text = Vec::new();
    LARGE.write_ics(&mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    let Entry::ICalendar(calendar) = Parser::new(&text).entry() else {
        panic!("no calendar");
    };
    // The calendar itself is a component too.
    assert_eq!(calendar.components.len(), LARGE.events.len() + 1);
}
