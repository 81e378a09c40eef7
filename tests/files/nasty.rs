//! Mails as broken as they come. Each test is a kind of brokenness; none may panic, lose what
//! can be read, or take longer than it should.

use std::fmt::Write as _;
use std::io::{self, Cursor, Read};
use std::time::{Duration, Instant};

use paraplanner::html::html_to_text;
use paraplanner::ingest::files::{Email, Item, Located, Resume, open, parse_mail};

fn mail(raw: impl AsRef<[u8]>) -> Email {
    parse_mail(raw.as_ref(), None).expect("a mail")
}

fn refused(raw: impl AsRef<[u8]>) -> String {
    let reason = parse_mail(raw.as_ref(), None).expect_err("no mail");
    assert!(
        reason.ends_with('.') && reason.len() < 200 && !reason.contains('{'),
        "{reason}"
    );
    reason
}

fn within(limit: Duration, work: impl FnOnce()) {
    let start = Instant::now();
    work();
    assert!(start.elapsed() < limit, "took {:?}", start.elapsed());
}

const SECONDS: Duration = Duration::from_secs(30);

#[test]
fn raw_utf8_and_latin1_headers() {
    let email = mail("From: Jörg Müller <j@example.com>\nSubject: Grüße\n\nx");
    assert_eq!(email.subject, "Grüße");
    assert_eq!(
        email.from.expect("from").name.as_deref(),
        Some("Jörg Müller")
    );
    let email = mail(b"From: J\xf6rg <j@example.com>\nSubject: Gr\xfc\xdfe\n\nx");
    assert_eq!(email.subject, "Grüße");
}

#[test]
fn encoded_words_of_known_unknown_and_broken_charsets() {
    assert_eq!(
        mail("From: a@example.com\nSubject: =?iso-8859-1?Q?Gr=FC=DFe?= =?utf-8?b?w7xiZXI=?=\n\n")
            .subject,
        "Grüßeüber"
    );
    let odd = mail("From: a@example.com\nSubject: =?x-odd?Q?abc?= =?utf-8?q?never ends\n\nb");
    assert!(odd.subject.contains("abc"), "{}", odd.subject);
}

#[test]
fn bodies_of_unknown_and_wrong_charsets() {
    for head in [
        "text/plain; charset=x-unknown",
        "text/plain; charset=utf-8",
        "text/plain",
    ] {
        let mut raw = format!("From: a@example.com\nContent-Type: {head}\n\n").into_bytes();
        raw.extend_from_slice(b"caf\xe9 \x93quoted\x94\n");
        assert_eq!(mail(raw).text, "café “quoted”\n", "{head}");
    }
    let coded = "From: a@example.com\nContent-Type: text/plain; charset=none\nContent-Transfer-Encoding: quoted-printable\n\ncaf=E9\n";
    assert_eq!(mail(coded).text, "café\n");
}

#[test]
fn rfc2231_names_of_attachments() {
    let email = mail(
        "From: a@example.com\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b\nContent-Type: application/octet-stream\nContent-Disposition: attachment; filename*0*=utf-8''na%C3%AF; filename*1=ve.txt\nContent-Transfer-Encoding: base64\n\naGVsbG8=\n--b--\n",
    );
    assert_eq!(email.attachments[0].name, "naïve.txt");
    assert_eq!(email.attachments[0].text.as_deref(), Some("hello"));
    assert_eq!(email.attachments[0].size, 5);
}

#[test]
fn a_date_from_received_or_from_the_separator() {
    let email = mail(
        "Received: from a by b; Tue, 2 Jan 2024 10:00:00 +0000\nFrom: a@example.com\nDate: yesterday\n\nx",
    );
    assert_eq!(
        email.date.expect("date").to_rfc3339(),
        "2024-01-02T10:00:00+00:00"
    );
    assert_eq!(mail("From: a@example.com\nDate: never\n\nx").date, None);
    assert_eq!(
        mail("From: a@example.com\nDate: Mon, 1 Jan 9999 99:99:99 +9999\n\nx").date,
        None
    );
}

#[test]
fn a_missing_message_id_is_made_and_stays_the_same() {
    let one = mail("From: a@example.com\nSubject: x\n\nbody\n");
    let same = mail("From: a@example.com\r\nSubject: x\r\n\r\nbody\r\n\r\n");
    let other = mail("From: a@example.com\nSubject: x\n\nbody 2\n");
    assert!(one.synthetic_id);
    assert_eq!(one.message_id, same.message_id);
    assert_ne!(one.message_id, other.message_id);
    assert_eq!(one.thread_key(), one.message_id);
}

#[test]
fn no_body_no_header_nothing() {
    let email = mail("Subject: only this\n");
    assert_eq!(
        (email.subject.as_str(), email.text.as_str()),
        ("only this", "")
    );
    assert!(refused("").contains("empty"));
    assert!(refused(" \r\n\n").contains("empty"));
    refused("just some words\nand more\n");
    refused("\0\0\0\0");
    refused("\n\n\nbody without headers");
}

#[test]
fn empty_parts_and_boundaries_that_never_come() {
    let email = mail(
        "From: a@example.com\nContent-Type: multipart/mixed; boundary=b\n\n--b\n--b\n\n--b\nContent-Type: text/plain\n\nhello\n",
    );
    assert!(email.text.contains("hello"), "{:?}", email.text);
    let email = mail(
        "From: a@example.com\nContent-Type: multipart/mixed; boundary=absent\n\nstill readable\n",
    );
    let read = email.text.contains("still readable")
        || email.attachments.iter().any(|part| {
            part.text
                .as_deref()
                .is_some_and(|text| text.contains("still readable"))
        });
    assert!(read, "{email:?}");
    mail("From: a@example.com\nContent-Type: multipart/mixed\n\n--\n\nx\n");
    mail("From: a@example.com\nContent-Type: multipart/mixed; boundary=\"\"\n\n--\n\nx\n");
}

#[test]
fn broken_transfer_encodings() {
    let email = mail(
        "From: a@example.com\nContent-Type: text/plain\nContent-Transfer-Encoding: base64\n\nthis is!! not base64\n",
    );
    assert!(!email.text.is_empty());
    let email = mail(
        "From: a@example.com\nContent-Type: text/plain\nContent-Transfer-Encoding: quoted-printable\n\na=ZZb=\nc =3\n",
    );
    assert!(email.text.contains('b'), "{:?}", email.text);
    mail("From: a@example.com\nContent-Transfer-Encoding: x-uuencode\n\nbegin 644 x\n");
}

#[test]
fn html_only_and_html_beside_empty_plain() {
    let email = mail("From: a@example.com\nContent-Type: text/html\n\n<p>Hi <b>you</b>");
    assert_eq!(email.text, "Hi you\n");
    assert!(email.html.is_some());
    let email = mail(
        "From: a@example.com\nContent-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: text/plain\n\n \n--b\nContent-Type: text/html\n\n<p>Hi\n--b--\n",
    );
    assert_eq!(email.text, "Hi\n");
}

#[test]
fn flowed_text_with_and_without_delsp() {
    let email = mail(
        "From: a@example.com\nContent-Type: text/plain; format=flowed\n\nOne \nline.\n> quoted \n> too\n From stuffed\n-- \nsig\n",
    );
    assert_eq!(
        email.text,
        "One line.\n> quoted too\nFrom stuffed\n-- \nsig\n"
    );
    let email = mail(
        "From: a@example.com\nContent-Type: text/plain; format=flowed; delsp=yes\n\nhttp://exa \nmple.com/\n",
    );
    assert_eq!(email.text, "http://example.com/\n");
}

#[test]
fn nul_and_bare_carriage_returns() {
    let email = mail("From: a@example.com\nSubject: a\0b\n\nx\0y\r\nz\rw\n");
    assert_eq!(email.subject, "ab");
    assert_eq!(email.text, "xy\nz\nw\n");
}

#[test]
fn mails_in_mails() {
    let email = mail(
        "From: a@example.com\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nsee\n--b\nContent-Type: message/rfc822\n\nFrom: Carol <c@example.com>\nSubject: inner\n\ninside\n--b\nContent-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nU3ViamVjdDogZGVlcAoKZGVlcGVyCg==\n--b--\n",
    );
    assert_eq!(email.text.trim(), "see");
    assert_eq!(email.attachments[0].content_type, "message/rfc822");
    let inner = email.attachments[0].text.as_deref().expect("text");
    assert!(inner.contains("Carol <c@example.com>") && inner.contains("inside"));
    let deep = email.attachments[1].text.as_deref().expect("text");
    assert!(deep.contains("Subject: deep") && deep.contains("deeper"));
}

#[test]
fn ten_thousand_mails_in_mails() {
    within(SECONDS, || {
        let deep = "Content-Type: message/rfc822\n\n".repeat(10_000);
        mail(format!("From: a@example.com\n{deep}Subject: x\n\nend"));
        let digest = "Content-Type: multipart/digest; boundary=b\n\n--b\n\n".repeat(10_000);
        let _ = parse_mail(format!("From: a@example.com\n{digest}").as_bytes(), None);
    });
}

#[test]
fn nested_and_endless_multiparts() {
    within(SECONDS, || {
        let mut raw = String::from("From: a@example.com\n");
        for depth in 0..5000 {
            let _ = write!(
                raw,
                "Content-Type: multipart/mixed; boundary=b{depth}\n\n--b{depth}\n"
            );
        }
        refused(raw);
        let flat = "--b\n\n\n".repeat(200_000);
        refused(format!(
            "From: a@example.com\nContent-Type: multipart/mixed; boundary=b\n\n{flat}"
        ));
        let same = "--b\nContent-Type: multipart/mixed; boundary=b\n\n".repeat(1500);
        mail(format!(
            "From: a@example.com\nContent-Type: multipart/mixed; boundary=b\n\n{same}"
        ));
        let mut absent = String::new();
        for part in 0..90 {
            let _ = write!(
                absent,
                "--b\nContent-Type: multipart/mixed; boundary=absent{part}\n\n"
            );
        }
        absent.push_str(&"x".repeat(5 << 20));
        mail(format!(
            "From: a@example.com\nContent-Type: multipart/mixed; boundary=b\n\n{absent}"
        ));
    });
}

#[test]
fn headers_without_end() {
    within(SECONDS, || {
        mail(format!(
            "From: a@example.com\nSubject: {}\n\nx",
            "y".repeat(5 << 20)
        ));
        mail(format!(
            "From: a@example.com\n{}\nSubject: lost\n\nx",
            "X-A: b\n".repeat(500_000)
        ));
        mail(format!(
            "From: a@example.com\nSubject: {}\n\nx",
            "=?utf-8?q?".repeat(100_000)
        ));
        mail(format!(
            "From: a@example.com\nSubject: {}\n\nx",
            "=?utf-8?q?".repeat(9_000)
        ));
        mail(format!(
            "From: a@example.com\nTo: {}\n\nx",
            "(".repeat(400_000)
        ));
        mail(format!(
            "From: a@example.com\nTo: {}\n\nx",
            "=?utf-8?q?".repeat(9_000)
        ));
        mail(format!(
            "From: a@example.com\nContent-Type: text/plain; {}\n\nx",
            "a*0=b;".repeat(60_000)
        ));
        mail(format!(
            "From: a@example.com\nReferences: {}\n\nx",
            "<a@b> ".repeat(60_000)
        ));
        let to: Vec<String> = (0..50_000).map(|n| format!("n{n}@example.com, ")).collect();
        let to = to.concat();
        assert_eq!(
            mail(format!("From: a@example.com\nTo: {to}\n\nx")).to.len(),
            2000
        );
    });
}

#[test]
fn parts_with_headers_without_end() {
    within(SECONDS, || {
        let headers = "X-A: b\n".repeat(1_000_000);
        let _ = parse_mail(
            format!(
                "From: a@example.com\nContent-Type: multipart/mixed; boundary=b\n\n--b\n{headers}"
            )
            .as_bytes(),
            None,
        );
    });
}

#[test]
fn addresses_in_all_states() {
    let email = mail(
        "From: \"alice@example.com\"\nTo: undisclosed-recipients:;\nCc: Team: a@example.com, B <b@example.com>;, c@EXAMPLE.com\nReply-To: <>\nBcc: not an address, ok@example.com\n\nx",
    );
    assert_eq!(email.to, []);
    assert_eq!(email.reply_to, []);
    assert!(email.cc.iter().any(|one| one.address == "b@example.com"));
    assert!(email.bcc.iter().any(|one| one.address == "ok@example.com"));
    assert_eq!(
        mail("Sender: s@example.com\nSubject: x\n\n")
            .from
            .expect("sender")
            .address,
        "s@example.com"
    );
    let odd = mail("From: =?utf-8?q?J=C3=B6rg?= <j@example.com>, k@example.com\n\nx");
    assert_eq!(odd.from.expect("first").name.as_deref(), Some("Jörg"));
}

#[test]
fn references_folded_glued_and_empty() {
    let email =
        mail("From: a@example.com\nMessage-ID: <x@y>\nReferences: <1@a><2@a>\n\t<3@a>\n\nx");
    assert_eq!(email.references, ["1@a", "2@a", "3@a"]);
    let email = mail(
        "From: a@example.com\nMessage-ID: <>\nReferences:\nIn-Reply-To: <p@a> (msg of today)\n\nx",
    );
    assert!(email.synthetic_id);
    assert_eq!(email.thread_key(), "p@a");
}

#[test]
fn machines_and_lists_are_known() {
    let email = mail(
        "From: a@example.com\nAuto-Submitted: auto-replied\nList-Id: \"Users\" <Users.Example.COM>\n\nx",
    );
    assert!(email.auto_submitted);
    assert_eq!(email.list_id.as_deref(), Some("users.example.com"));
    assert!(!mail("From: a@example.com\nAuto-Submitted: no\n\nx").auto_submitted);
}

#[test]
fn labels_encoded_and_folded() {
    let email = mail(
        "From: a@example.com\nX-Gmail-Labels: =?UTF-8?Q?Wichtig,Entw=C3=BCrfe?=,\n \"Other\"\n\nx",
    );
    assert_eq!(email.labels, ["Wichtig", "Entwürfe", "Other"]);
}

#[test]
fn deeply_nested_html() {
    within(SECONDS, || {
        for bomb in [
            "<div>".repeat(100_000),
            "<blockquote>".repeat(100_000),
            "<table><tr><td>".repeat(50_000),
            "<b><i><u>".repeat(50_000),
            "<ul><li>".repeat(50_000),
            "</div>".repeat(100_000),
            "<tr></tr>".repeat(50_000),
            "<a title=\"".repeat(100_000),
            "<!--".repeat(100_000),
            "<a '=\"".repeat(100_000),
            "<style>{{{{".repeat(20_000),
            "&".repeat(1_000_000),
            "<p style=\"".repeat(50_000),
            "<".repeat(1_000_000),
            format!("<p {}>", "a=b ".repeat(200_000)),
            format!(
                "<style>{}</style><p class=\"{}\">",
                ".a{color:red}".repeat(50_000),
                "a ".repeat(100_000)
            ),
        ] {
            html_to_text(&format!("{bomb}end"));
        }
    });
}

#[test]
fn a_mail_of_sixty_megabytes_is_skipped_and_the_next_is_read() {
    struct Mailbox(u64);
    impl Read for Mailbox {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            const FIRST: &[u8] = b"From a@example.com Mon Jan  1 10:00:00 2024\nSubject: big\n\n";
            const LAST: &[u8] =
                b"\n\nFrom b@example.com Mon Jan  1 10:00:00 2024\nSubject: small\n\nhi\n";
            const BIG: u64 = 60 << 20;
            let at = usize::try_from(self.0).expect("small");
            let part = if at < FIRST.len() {
                &FIRST[at..]
            } else if self.0 < BIG {
                &[b'x'; 4096][..]
            } else {
                LAST.get(usize::try_from(self.0 - BIG).expect("small")..)
                    .unwrap_or_default()
            };
            let some = part.len().min(into.len());
            let some = if self.0 < BIG {
                some.min(usize::try_from(BIG - self.0).expect("small"))
            } else {
                some
            };
            into[..some].copy_from_slice(&part[..some]);
            self.0 += some as u64;
            Ok(some)
        }
    }
    let items: Vec<Located> = open("a.mbox", Box::new(Mailbox(0)), Resume::default())
        .expect("a mailbox")
        .collect::<Result<_, _>>()
        .expect("memory");
    assert_eq!(items.len(), 2);
    let big = items[0].item.as_ref().expect_err("too large");
    assert_eq!(
        big.to_string(),
        "message 1 at byte 0: It is larger than the 50 MB that can be read."
    );
    let Ok(Item::Email(small)) = &items[1].item else {
        panic!("{:?}", items[1].item)
    };
    assert_eq!(small.subject, "small");
}

#[test]
fn mailboxes_of_all_writers() {
    let count = |text: &str| {
        open(
            "a.mbox",
            Box::new(Cursor::new(text.as_bytes().to_vec())),
            Resume::default(),
        )
        .expect("a mailbox")
        .map(|item| item.expect("memory"))
        .collect::<Vec<_>>()
    };
    for separators in [
        "From 1234@xxx Mon Jan 01 10:00:00 +0000 2024\n",
        "From - Mon Jan  1 10:00:00 2024\n",
        "From a@example.com Mon Jan  1 10:00 2024\n",
        "From a@example.com Mon, 01 Jan 2024 10:00:00 GMT\n",
        "From a at example.com  Mon Jan  1 10:00:00 2024\r\n",
        "From \"odd name\"@example.com Mon Jan  1 10:00:00 EST 2024\n",
    ] {
        let text = format!(
            "{separators}Subject: 1\n\none\n\n{separators}Subject: 2\nContent-Length: 5\n\ntwo\n\nFrom here to 10:30 of 2024 we\nwalked.\n"
        );
        let items = count(&text);
        assert_eq!(items.len(), 2, "{separators}");
        for item in items {
            let Ok(Item::Email(email)) = item.item else {
                panic!("{:?}", item.item)
            };
            assert!(email.date.is_some(), "{separators}");
        }
    }
    // An empty message and rubbish between two good ones.
    let text = "From a@example.com Mon Jan  1 10:00:00 2024\nSubject: 1\n\none\n\nFrom a@example.com Mon Jan  1 10:00:00 2024\n\nFrom a@example.com Mon Jan  1 10:00:00 2024\nrubbish\n\nFrom a@example.com Mon Jan  1 10:00:00 2024\nSubject: 4\n\nfour\n";
    let items = count(text);
    assert_eq!(
        items
            .iter()
            .map(|item| item.item.is_ok())
            .collect::<Vec<_>>(),
        [true, false, false, true]
    );
}

#[test]
fn a_reader_that_fails_is_reported_and_can_be_taken_up_again() {
    struct Failing(Cursor<Vec<u8>>, bool);
    impl Read for Failing {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            match self.0.read(into) {
                Ok(0) if self.1 => Err(io::Error::other("disk")),
                other => other,
            }
        }
    }
    let text = b"name,email\nA,a@example.com\nB,b@".to_vec();
    let mut items = open(
        "a.csv",
        Box::new(Failing(Cursor::new(text), true)),
        Resume::default(),
    )
    .expect("a spreadsheet");
    assert!(items.any(|item| item.is_err()));
}

#[test]
fn files_that_are_nothing() {
    for (name, bytes) in [
        ("a.eml", &b"\xff\xfe\x00\x01\x02"[..]),
        ("a.mbox", b""),
        ("a.vcf", b"BEGIN:VCARD"),
        (
            "a.ics",
            b"BEGIN:VCALENDAR\nBEGIN:VEVENT\nEND:VEVENT\nBEGIN:VEVENT",
        ),
        ("a.csv", b"x,y\n1,2\n"),
        ("a.pdf", b"%PDF-1.7\ntrailer<</Root 1 0 R>>"),
        ("a.html", b"<script>x</script>"),
        ("a.txt", b"\xff\xfe"),
        ("noname", b"\x7fELF\x00\x00\x00\x00\x00"),
    ] {
        match open(
            name,
            Box::new(Cursor::new(bytes.to_vec())),
            Resume::default(),
        ) {
            Err(refused) => assert!(refused.reason.ends_with('.'), "{name}: {refused}"),
            Ok(items) => {
                for item in items {
                    let reason = item.expect("memory").item.expect_err(name).reason;
                    assert!(reason.ends_with('.'), "{name}: {reason}");
                }
            }
        }
    }
}

#[test]
fn pdfs_good_damaged_and_explosive() {
    let page = include_bytes!("../../fuzz/corpus/pdf/page.pdf");
    let read = |bytes: Vec<u8>| {
        open("plan.pdf", Box::new(Cursor::new(bytes)), Resume::default())
            .expect("a PDF")
            .map(|item| item.expect("memory").item)
            .collect::<Vec<_>>()
    };
    let items = read(page.to_vec());
    let [Ok(Item::Document(document))] = &items[..] else {
        panic!("{items:?}")
    };
    assert_eq!(document.title, "Plan");
    assert_eq!(document.text.trim(), "Retirement plan");
    assert_eq!(document.pages, [0]);
    for cut in [20, 100, 300, page.len() - 60] {
        within(SECONDS, || {
            read(page[..cut].to_vec());
        });
    }
}

#[test]
fn a_page_that_unpacks_without_end_is_reported() {
    let mut pdf = lopdf::Document::load_mem(include_bytes!("../../fuzz/corpus/pdf/page.pdf"))
        .expect("our own document");
    let pages: Vec<_> = pdf.get_pages().into_values().collect();
    let mut bomb = lopdf::Stream::new(lopdf::Dictionary::new(), vec![b' '; 64 << 20]);
    bomb.compress().expect("compressed");
    let id = pdf.add_object(bomb);
    pdf.get_dictionary_mut(pages[0])
        .expect("a page")
        .set("Contents", id);
    let mut bytes = Vec::new();
    pdf.save_to(&mut bytes).expect("memory");
    assert!(bytes.len() < 1 << 20);
    within(SECONDS, || {
        let items: Vec<_> = open("a.pdf", Box::new(Cursor::new(bytes)), Resume::default())
            .expect("a PDF")
            .map(|item| item.expect("memory").item)
            .collect();
        let [Err(refused)] = &items[..] else {
            panic!("{items:?}")
        };
        assert!(refused.reason.contains("unpacks"), "{refused}");
    });
}

#[test]
fn a_card_with_fifty_thousand_notes() {
    within(SECONDS, || {
        let notes: Vec<String> = (0..50_000).map(|n| format!("NOTE:note {n}\n")).collect();
        let card = format!("BEGIN:VCARD\nFN:A\n{}END:VCARD\n", notes.concat());
        let items = open(
            "a.vcf",
            Box::new(Cursor::new(card.into_bytes())),
            Resume::default(),
        )
        .expect("cards");
        assert_eq!(items.count(), 1);
    });
}
