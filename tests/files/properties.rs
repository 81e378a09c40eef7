//! What must hold for every input.

use std::io::Cursor;

use paraplanner::html::{html_to_text, sanitise};
use paraplanner::ingest::files::{Item, Located, Resume, open, parse_mail};
use paraplanner::retrieval::{chunk, clean};
use proptest::prelude::*;

fn read(name: &str, bytes: &[u8], from: Resume) -> Vec<Located> {
    match open(name, Box::new(Cursor::new(bytes.to_vec())), from) {
        Ok(items) => items.collect::<Result<_, _>>().expect("memory"),
        Err(_) => Vec::new(),
    }
}

/// Lines that mean something to one of the parsers, in any order, with anything between.
fn lines(of: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::collection::vec(
        prop_oneof![
            4 => prop::sample::select(of).prop_map(str::to_owned),
            1 => "\\PC{0,40}",
            1 => Just(String::new()),
        ],
        0..30,
    )
    .prop_flat_map(|lines| {
        prop::sample::select(vec!["\n", "\r\n"]).prop_map(move |end| lines.join(end))
    })
}

const MAIL: &[&str] = &[
    "From a@example.com Mon Jan  1 10:00:00 2024",
    "From: Alice <a@example.com>",
    "From: a at example.com (A)",
    "Subject: =?utf-8?q?x=C3?= =?utf-8?b?w7w=?=",
    "Content-Type: multipart/mixed; boundary=b",
    "Content-Type: multipart/alternative; boundary=\"c d\"",
    "Content-Type: message/rfc822",
    "Content-Type: text/html; charset=latin1",
    "Content-Type: text/plain; format=flowed; delsp=yes",
    "Content-Transfer-Encoding: base64",
    "Content-Transfer-Encoding: quoted-printable",
    "--b",
    "--b--",
    "--c d",
    "--c d--",
    "aGVsbG8=",
    "<p>h&eacute;<blockquote>=C3=A9",
    "> quoted ",
    ">From here",
    "On Mon, Jan 1, 2024 Bob wrote:",
    "-- ",
    "________________________",
    "-----Original Message-----",
    "-----BEGIN PGP SIGNATURE-----",
    "---------- Forwarded message ---------",
    "Sent: Monday",
    "To: Bob",
    "Mr. Smith met Dr. Jones. They e.g. talked.",
    "今天开会。明天不开。",
    "- item",
];
const CARDS: &[&str] = &[
    "BEGIN:VCARD",
    "END:VCARD",
    "VERSION:2.1",
    "VERSION:4.0",
    "FN:Zoë",
    "N:A;B;C;D;E",
    "EMAIL;TYPE=work:a@example.com",
    "TEL:+1 555",
    "BDAY:--0203",
    "BDAY:19800203",
    "NOTE;ENCODING=QUOTED-PRINTABLE:a=C3=A9=",
    " folded",
    "PHOTO;ENCODING=b:aGVsbG8=",
    "ADR:;;a;b;c;d;e",
];
const EVENTS: &[&str] = &[
    "BEGIN:VCALENDAR",
    "END:VCALENDAR",
    "BEGIN:VEVENT",
    "END:VEVENT",
    "BEGIN:VTIMEZONE",
    "END:VTIMEZONE",
    "TZID:Here",
    "X-LIC-LOCATION:Europe/Berlin",
    "DTSTART;TZID=Here:20240331T023000",
    "DTSTART;VALUE=DATE:20240101",
    "DTEND:20240101T000000Z",
    "DURATION:-P999999999D",
    "DURATION:PT1H",
    "RRULE:FREQ=DAILY;COUNT=99999999999",
    "SUMMARY:x",
    "UID:1",
    "ATTENDEE;CN=\"A\":mailto:a@example.com",
    "RECURRENCE-ID:20240101T100000Z",
    "DTSTART:99999999T999999Z",
];
const ROWS: &[&str] = &[
    "name,email",
    "First Name;Last Name;E-mail",
    "sep=;",
    "A,a@example.com",
    "\"B",
    "C\",c@example.com",
    "\"D \"\"d\"\"\",d@example.com",
    ",,,",
    "\"",
    "E;F;e@example.com",
];

fn holds_for_chunks(text: &str, words: usize) -> Result<(), TestCaseError> {
    let segments = clean::fresh_segments(text);
    prop_assert_eq!(segments.is_empty(), text.trim().is_empty());
    let mut end = 0;
    for segment in &segments {
        prop_assert!(segment.start >= end && segment.end > segment.start);
        prop_assert!(text.get(segment.clone()).is_some());
        end = segment.end;
    }
    let chunks = chunk::chunk(text, &segments, "H", words);
    prop_assert_eq!(segments.is_empty(), chunks.chunks.is_empty());
    let mut reached = 0;
    for (at, one) in chunks.chunks.iter().enumerate() {
        prop_assert_eq!(one.ordinal, at);
        let mut payload = Vec::new();
        let mut before = 0;
        for span in &one.spans {
            prop_assert!(span.start >= before && span.end > span.start);
            before = span.end;
            prop_assert!(
                segments
                    .iter()
                    .any(|s| s.start <= span.start && span.end <= s.end)
            );
            payload.push(text.get(span.clone()).expect("on character bounds"));
        }
        // Each chunk gets further than the one before.
        prop_assert!(before > reached);
        reached = before;
        let payload = payload.join("\n\n");
        prop_assert!(payload.len() <= chunk::MAX_BYTES);
        prop_assert_eq!(&one.text, &format!("H\n{payload}"));
    }
    // No word of a segment is in no chunk.
    if chunks.complete {
        let mut covered = vec![false; text.len()];
        for span in chunks.chunks.iter().flat_map(|one| &one.spans) {
            covered[span.clone()].fill(true);
        }
        for segment in &segments {
            for (at, c) in text[segment.clone()].char_indices() {
                prop_assert!(c.is_whitespace() || covered[segment.start + at], "{:?}", c);
            }
        }
    }
    let mut end = 0;
    for sentence in chunk::sentences(text) {
        prop_assert!(sentence.start >= end && sentence.end > sentence.start);
        let between = text.get(end..sentence.start).expect("on character bounds");
        prop_assert!(between.trim().is_empty());
        end = sentence.end;
    }
    prop_assert!(
        text.get(end..)
            .expect("on character bounds")
            .trim()
            .is_empty()
    );
    Ok(())
}

fn resumes(name: &str, file: &[u8]) -> Result<(), TestCaseError> {
    let items = read(name, file, Resume::default());
    for (at, item) in items.iter().enumerate() {
        let rest = read(name, file, Resume::after(item));
        prop_assert_eq!(rest.as_slice(), &items[at + 1..], "after item {}", at);
        if let Err(unreadable) = &item.item {
            prop_assert!(unreadable.reason.ends_with('.'), "{}", unreadable.reason);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_bytes_under_any_name(
        bytes in prop::collection::vec(any::<u8>(), 0..600),
        name in prop::sample::select(vec!["a.mbox", "a.eml", "a.txt", "a.html", "a.pdf", "a.vcf", "a.ics", "a.csv", "a"]),
    ) {
        read(name, &bytes, Resume::default());
        let _ = parse_mail(&bytes, None);
        let text = String::from_utf8_lossy(&bytes);
        prop_assert!(!html_to_text(&text).contains(['\0', '\r']));
        sanitise(&text);
        holds_for_chunks(&text, 100)?;
    }

    #[test]
    fn mails_of_meaningful_lines(text in lines(MAIL)) {
        if let Ok(mail) = parse_mail(format!("Subject: x\n{text}").as_bytes(), None) {
            prop_assert!(!mail.text.contains(['\0', '\r']));
            prop_assert!(!mail.message_id.is_empty());
            holds_for_chunks(&mail.text, 20)?;
        }
        holds_for_chunks(&text, 10)?;
        resumes("a.mbox", format!("From a@example.com Mon Jan  1 10:00:00 2024\n{text}").as_bytes())?;
    }

    #[test]
    fn words_of_any_script(text in "(\\PC{0,30}[ \n.。]{1,3}){0,40}", words in 1_usize..200) {
        holds_for_chunks(&text, words)?;
    }

    #[test]
    fn cards(text in lines(CARDS)) {
        resumes("a.vcf", format!("BEGIN:VCARD\n{text}").as_bytes())?;
    }

    #[test]
    fn events(text in lines(EVENTS)) {
        resumes("a.ics", format!("BEGIN:VCALENDAR\n{text}").as_bytes())?;
    }

    #[test]
    fn rows(text in lines(ROWS)) {
        resumes("a.csv", text.as_bytes())?;
        resumes("a.csv", format!("name,email\n{text}").as_bytes())?;
    }

    /// What mboxrd's writer does, ours undoes.
    #[test]
    fn a_mailbox_gives_back_what_went_in(
        bodies in prop::collection::vec(
            prop::collection::vec(
                prop_oneof![
                    "[a-z ]{0,30}",
                    "(>{0,3})From [a-z@. ]{0,20}( Mon Jan  1 10:00:00 2024)?",
                    Just(String::new()),
                ],
                0..12,
            ),
            1..8,
        ),
    ) {
        let mut file = String::new();
        for (at, body) in bodies.iter().enumerate() {
            file.push_str("From a@example.com Mon Jan  1 10:00:00 2024\n");
            file.push_str("Message-ID: <");
            file.push_str(&at.to_string());
            file.push_str("@example.com>\nSubject: x\n\n");
            for line in body {
                if line.trim_start_matches('>').starts_with("From ") {
                    file.push('>');
                }
                file.push_str(line);
                file.push('\n');
            }
            file.push('\n');
        }
        let items = read("a.mbox", file.as_bytes(), Resume::default());
        prop_assert_eq!(items.len(), bodies.len());
        for (at, (item, body)) in items.iter().zip(&bodies).enumerate() {
            let Ok(Item::Email(mail)) = &item.item else {
                return Err(TestCaseError::fail(format!("{:?}", item.item)));
            };
            prop_assert_eq!(&mail.message_id, &format!("{at}@example.com"));
            let body: String = body.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
            prop_assert_eq!(&mail.text, &body);
        }
    }
}
