//! A PDF of any bytes: no panic, and pages within the text.
#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use paraplanner::ingest::files::{Item, Resume, open};

fuzz_target!(|raw: &[u8]| {
    let Ok(items) = open(
        "a.pdf",
        Box::new(Cursor::new(raw.to_vec())),
        Resume::default(),
    ) else {
        return;
    };
    for located in items {
        let located = located.expect("memory can always be read");
        if let Ok(Item::Document(document)) = located.item {
            for page in document.pages {
                assert!(document.text.get(page..).is_some());
            }
        }
    }
});
