//! Files as advisors have them; people and firms are invented.

/// One mail in RFC 5322's form.
pub fn mail(id: &str, from: &str, subject: &str, body: &str) -> String {
    format!(
        "From: {from}\r\nTo: Alex Morgan <alex@example.com>\r\nSubject: {subject}\r\n\
         Date: Mon, 2 Nov 2026 09:30:00 +0000\r\nMessage-ID: <{id}@example.com>\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\r\n{body}\r\n"
    )
}

/// Mails in one mailbox.
pub fn mbox(mails: &[String]) -> String {
    mails.iter().fold(String::new(), |all, mail| {
        let mail = mail.replace("\r\n", "\n");
        all + "From sara@example.com Mon Nov  2 09:30:00 2026\n" + &mail + "\n"
    })
}

pub const SARA: &str = "Sara Smith <sara@example.com>";
pub const BASEBALL: &str = "My son Tom plays baseball for the Hawks every Saturday.";

/// What most tests ask about.
pub fn baseball() -> String {
    mail(
        "baseball",
        SARA,
        "Saturday",
        &format!("Dear Alex,\r\n\r\n{BASEBALL} Could we meet on Friday instead?\r\n\r\nSara"),
    )
}

pub const CARDS: &str = "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:sara\r\nFN:Sara Smith\r\nEMAIL:sara@example.com\r\n\
TEL:+1 555 0100\r\nNOTE:Prefers to be called in the morning.\r\nEND:VCARD\r\n\
BEGIN:VCARD\r\nVERSION:3.0\r\nUID:greg\r\nFN:Greg Hill\r\nEMAIL:greg@example.com\r\nEND:VCARD\r\n";

pub const CALENDAR: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//example//EN\r\nBEGIN:VEVENT\r\nUID:review-1\r\n\
DTSTAMP:20261101T090000Z\r\nDTSTART:20261110T150000Z\r\nDTEND:20261110T160000Z\r\nSUMMARY:Annual review with Greg Hill\r\n\
DESCRIPTION:Bring the pension statements.\r\nATTENDEE;CN=Greg Hill:mailto:greg@example.com\r\nEND:VEVENT\r\n\
END:VCALENDAR\r\n";

pub const SHEET: &str = "Name,E-mail,Phone,Notes\r\nAnn Lee,ann@example.com,+1 555 0101,Owns a bakery in Dover\r\n\
Bob Ray,bob@example.com,+1 555 0102,\r\n";

pub const NOTE: &str =
    "# Planning meeting\n\nGreg wants to sell his AAPL shares before the winter.\n";

pub const PAGE: &str = "<!doctype html><html><head><title>Market letter</title><script>alert(1)</script></head>\
<body><h1>Market letter</h1><p>Municipal bonds yield four percent this quarter.</p></body></html>";
