//! Reading files through the public door: every kind, every way to be broken that we have met.

use std::io::Cursor;

use paraplanner::html::html_to_text;
use paraplanner::ingest::files::{Contact, Email, Item, Located, Resume, open, parse_mail};

fn read(name: &str, bytes: impl Into<Vec<u8>>) -> Vec<Located> {
    open(name, Box::new(Cursor::new(bytes.into())), Resume::default())
        .expect("a kind that can be read")
        .collect::<Result<_, _>>()
        .expect("memory")
}

fn mail(raw: &str) -> Email {
    parse_mail(raw.as_bytes(), None).expect("a mail")
}

fn contacts(name: &str, text: impl Into<Vec<u8>>) -> Vec<Contact> {
    read(name, text)
        .into_iter()
        .map(|located| match located.item {
            Ok(Item::Contact(contact)) => *contact,
            other => panic!("not a contact: {other:?}"),
        })
        .collect()
}

#[test]
fn a_plain_mail() {
    let email = mail(
        "From: Alice Smith <Alice@Example.COM>\r\nTo: bob@example.com, \"Carol, C.\" <c@example.org>\r\nSubject: Re: Plan\r\nDate: Mon, 1 Jan 2024 10:00:00 +0100\r\nMessage-ID: <2@example.com>\r\nIn-Reply-To: <1@example.com>\r\nReferences: <0@example.com> <1@example.com>\r\nX-Gmail-Labels: Inbox,Important\r\n\r\nHello\r\nBob\r\n",
    );
    let from = email.from.clone().expect("an author");
    assert_eq!(from.address, "Alice@example.com");
    assert_eq!(from.name.as_deref(), Some("Alice Smith"));
    assert_eq!(email.to.len(), 2);
    assert_eq!(email.to[1].name.as_deref(), Some("Carol, C."));
    assert_eq!(email.thread_key(), "0@example.com");
    assert_eq!(email.message_id, "2@example.com");
    assert_eq!(email.text, "Hello\nBob\n");
    assert_eq!(email.labels, ["Inbox", "Important"]);
    assert_eq!(
        email.date.expect("a date").to_rfc3339(),
        "2024-01-01T09:00:00+00:00"
    );
}

#[test]
fn an_mbox_of_two_with_quoting_and_a_list_archive() {
    let mbox = "From alice at example.com  Mon Jan  1 10:00:00 2024\nFrom: alice at example.com (Alice Smith)\nSubject: one\n\nFrom here on\n>From the start\n>>From twice\n\nFrom you 10:30 in 2024?\nnot a header\n\nFrom bob@example.com Tue Jan  2 10:00:00 +0000 2024\nFrom: bob@example.com\nSubject: two\n\nbody\n";
    let items = read("list.mbox", mbox);
    assert_eq!(items.len(), 2);
    let Ok(Item::Email(one)) = &items[0].item else {
        panic!("{:?}", items[0].item)
    };
    let from = one.from.clone().expect("an author");
    assert_eq!(
        (from.name.as_deref(), from.address.as_str()),
        (Some("Alice Smith"), "alice@example.com")
    );
    assert!(
        one.text.contains("\nFrom the start\n>From twice\n"),
        "{}",
        one.text
    );
    assert!(one.text.contains("From you 10:30"));
    assert_eq!(
        one.date.expect("the separator's").to_rfc3339(),
        "2024-01-01T10:00:00+00:00"
    );
    assert_eq!(
        items[1].position.to_string(),
        format!("message 2 at byte {}", items[0].next_offset)
    );
    let rest: Vec<_> = open(
        "list.mbox",
        Box::new(Cursor::new(mbox.as_bytes().to_vec())),
        Resume::after(&items[0]),
    )
    .expect("open")
    .map(|item| item.expect("memory"))
    .collect();
    assert_eq!(rest, items[1..]);
}

#[test]
fn html_to_visible_text() {
    for (html, text) in [
        ("<p>One<p>Two", "One\n\nTwo\n"),
        ("a<br>b<div>c</div>d", "a\nb\nc\nd\n"),
        (
            "<ul><li>x<li>y</ul><ol><li>1st</li><li>2nd</li></ol>",
            "- x\n- y\n\n1. 1st\n2. 2nd\n",
        ),
        (
            "<table><tr><td>A<td>B<tr><td>1</td><td>2</td></tr></table>",
            "A | B\n1 | 2\n",
        ),
        ("x<span style='display:none'>secret</span>y", "xy\n"),
        (
            "<div style=\"font-size:0\">gap<span style=\"font-size:14px\">shown</span></div>",
            "shown\n",
        ),
        ("<p style='color:#fff'>white on white</p>ok", "ok\n"),
        (
            "<table bgcolor=#000000><tr><td style='color:white'>button</table>",
            "button\n",
        ),
        ("<style>.p{display:none}</style><i class=p>pre</i>z", "z\n"),
        (
            "<head><title>T</title></head>b<script>x</script><!-- c -->",
            "b\n",
        ),
        (
            "<a href=\"http://example.com/long\">link</a> &amp; &eacute;&#8217;&#151;&nbsp;x",
            "link & é’— x\n",
        ),
        (
            "Answer<blockquote>Quote<br>d<blockquote>e</blockquote></blockquote>f",
            "Answer\n\n> Quote\n> d\n>\n>> e\n\nf\n",
        ),
        ("<pre>a  b\n  c</pre>", "a  b\n  c\n"),
        ("<div hidden>h</div><p>v</p>", "v\n"),
        ("<img alt='Logo' src=x>w", "Logow\n"),
        ("", ""),
        ("5 < 6 & 7", "5 < 6 & 7\n"),
    ] {
        assert_eq!(html_to_text(html), text, "{html}");
    }
}

#[test]
fn csv_of_three_makers() {
    let google = "First Name,Last Name,E-mail 1 - Label,E-mail 1 - Value,Phone 1 - Value,Organization Name,Notes\nSara,Smith,* Work,sara@Example.com,+1 555 0100,Acme,\"likes\ngolf\"\n";
    let found = contacts("google.csv", google);
    assert_eq!(found[0].name, "Sara Smith");
    assert_eq!(found[0].emails, ["sara@example.com"]);
    assert_eq!(found[0].phones, ["+1 555 0100"]);
    assert_eq!(found[0].notes, "likes\ngolf");
    let outlook = "\u{feff}First Name;Last Name;E-mail Address;Business Phone;Company;Home Street;Home City;Birthday\r\nBob;Jones;bob@example.com;555-1;Acme;1 Main St;Springfield;19800101\r\n;;;;;;;\r\n";
    let items = read("outlook.csv", outlook);
    assert_eq!(items.len(), 2);
    assert!(items[1].item.is_err());
    let Ok(Item::Contact(bob)) = &items[0].item else {
        panic!()
    };
    assert_eq!(bob.addresses, ["1 Main St, Springfield"]);
    assert_eq!(bob.birthday.as_deref(), Some("1980-01-01"));
    let hubspot = "Record ID\tFirst Name\tLast Name\tEmail\tPhone Number\tContact owner\n17\tZoë\tÅberg\tzoe@example.com\t\tAlex\n";
    let found = contacts("hubspot.tsv", hubspot);
    assert_eq!(found[0].uid.as_deref(), Some("17"));
    assert_eq!(
        found[0].extra,
        [("Contact owner".to_owned(), "Alex".to_owned())]
    );
    let unicode: Vec<u8> = "\u{feff}Name\tE-mail\r\nZoë Åberg\tzoe@example.com\r\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    assert_eq!(contacts("excel.csv", unicode)[0].name, "Zoë Åberg");
    let open_quote = "name,email\n\"A,a@example.com\nB,b@example.com\nC,c@example.com\n";
    assert_eq!(read("x.csv", open_quote).len(), 3);
}

#[test]
fn cards_of_three_versions() {
    let vcf = "BEGIN:VCARD\r\nVERSION:2.1\r\nN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:M=C3=BCller;J=C3=B6rg\r\nTEL;CELL:+49 1\r\nEND:VCARD\r\nBEGIN:VCARD\r\nVERSION:3.0\r\nFN:Sara Smith\r\nEMAIL;TYPE=INTERNET:sara@example.com\r\nADR;TYPE=HOME:;;1 Main St;Springfield;IL;62701;USA\r\nNOTE:long\r\n er\\nnote\r\nBDAY:1980-02-03\r\nEND:VCARD\r\nBEGIN:VCARD\r\nVERSION:4.0\r\nNOTE:nobody\r\nEND:VCARD\r\nBEGIN:VCARD\nVERSION:4.0\nFN:Tail\n";
    let items = read("c.vcf", vcf);
    assert_eq!(items.len(), 4);
    let Ok(Item::Contact(one)) = &items[0].item else {
        panic!("{:?}", items[0])
    };
    assert_eq!(one.name, "Jörg Müller");
    let Ok(Item::Contact(two)) = &items[1].item else {
        panic!("{:?}", items[1])
    };
    assert_eq!(two.addresses, ["1 Main St, Springfield, IL, 62701, USA"]);
    assert_eq!(two.notes, "longer\nnote");
    assert_eq!(two.birthday.as_deref(), Some("1980-02-03"));
    assert!(items[2].item.is_err());
    assert_eq!(items[2].position.ordinal, 3);
}

#[test]
fn events_with_zones() {
    let ics = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:1\r\nSUMMARY:Review\r\nDTSTART;TZID=America/New_York:20240701T100000\r\nDURATION:PT1H\r\nORGANIZER;CN=Alex:mailto:alex@Example.com\r\nATTENDEE;PARTSTAT=ACCEPTED;CN=Sara:mailto:sara@example.com\r\nRRULE:FREQ=WEEKLY;COUNT=3\r\nBEGIN:VALARM\r\nACTION:DISPLAY\r\nDESCRIPTION:x\r\nEND:VALARM\r\nEND:VEVENT\r\nBEGIN:VEVENT\r\nDTSTART;VALUE=DATE:20240702\r\nEND:VEVENT\r\nBEGIN:VEVENT\r\nUID:3\r\nSUMMARY:Win\r\nDTSTART;TZID=W. Europe Standard Time:20240701T100000\r\nDTEND;TZID=W. Europe Standard Time:20240701T113000\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
    let items = read("c.ics", ics);
    assert_eq!(items.len(), 3);
    let event = |at: usize| match &items[at].item {
        Ok(Item::Event(event)) => event,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        event(0).start.expect("start").to_rfc3339(),
        "2024-07-01T14:00:00+00:00"
    );
    assert_eq!(
        event(0).end.expect("end").to_rfc3339(),
        "2024-07-01T15:00:00+00:00"
    );
    assert_eq!(event(0).time_zone.as_deref(), Some("America/New_York"));
    assert_eq!(event(0).attendees[0].status.as_deref(), Some("accepted"));
    assert_eq!(event(0).recurrence.as_deref(), Some("FREQ=WEEKLY;COUNT=3"));
    assert!(event(1).all_day);
    assert_eq!(
        event(1).end.expect("end").to_rfc3339(),
        "2024-07-03T00:00:00+00:00"
    );
    assert_eq!(
        event(2).start.expect("start").to_rfc3339(),
        "2024-07-01T08:00:00+00:00"
    );
}
