//! Contact cards of any bytes: no panic, an end, offsets that grow, and the same items when reading is
//! taken up again after any of them.
#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use paraplanner::ingest::files::{Located, Resume, open};

fn read(raw: &[u8], from: Resume) -> Vec<Located> {
    match open("a.vcf", Box::new(Cursor::new(raw.to_vec())), from) {
        Ok(items) => items
            .collect::<Result<_, _>>()
            .expect("memory can always be read"),
        Err(_) => Vec::new(),
    }
}

fuzz_target!(|raw: &[u8]| {
    let mut file = b"BEGIN:VCARD\r\n".to_vec();
    file.extend_from_slice(raw);
    let items = read(&file, Resume::default());
    for pair in items.windows(2) {
        assert!(pair[0].next_offset <= pair[1].next_offset);
        assert!(pair[0].position.ordinal < pair[1].position.ordinal);
    }
    if let Some(middle) = items.get(items.len() / 2) {
        let rest = read(&file, Resume::after(middle));
        assert_eq!(rest.as_slice(), &items[items.len() / 2 + 1..]);
    }
});
