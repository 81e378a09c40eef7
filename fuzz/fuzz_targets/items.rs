//! Files that hold many items, of any bytes after a fitting first line: no panic, an end, offsets that grow, and the
//! same items when reading is taken up again after any of them.

use std::io::Cursor;

use paraplanner::ingest::files::{Located, Resume, open};

fn read(name: &str, raw: &[u8], from: Resume) -> Vec<Located> {
    match open(name, Box::new(Cursor::new(raw.to_vec())), from) {
        Ok(items) => items
            .collect::<Result<_, _>>()
            .expect("memory can always be read"),
        Err(_) => Vec::new(),
    }
}

fn check(name: &str, first: &[u8], raw: &[u8]) {
    let file = [first, raw].concat();
    let items = read(name, &file, Resume::default());
    for pair in items.windows(2) {
        assert!(pair[0].next_offset <= pair[1].next_offset);
        assert!(pair[0].position.ordinal < pair[1].position.ordinal);
    }
    if let Some(middle) = items.get(items.len() / 2) {
        let rest = read(name, &file, Resume::after(middle));
        assert_eq!(rest.as_slice(), &items[items.len() / 2 + 1..]);
    }
}

/// A mailbox.
pub fn mbox(raw: &[u8]) {
    check(
        "a.mbox",
        b"From a@example.com Mon Jan  1 10:00:00 2024\n",
        raw,
    );
}

/// A calendar.
pub fn ics(raw: &[u8]) {
    check("a.ics", b"BEGIN:VCALENDAR\r\n", raw);
}

/// Contact cards.
pub fn vcf(raw: &[u8]) {
    check("a.vcf", b"BEGIN:VCARD\r\n", raw);
}

/// A spreadsheet of contacts.
pub fn csv(raw: &[u8]) {
    check("a.csv", b"name,email\n", raw);
}
