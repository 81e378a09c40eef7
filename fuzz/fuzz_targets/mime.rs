//! One mail of any bytes: no panic, no NUL, no CR, and always an id.
#![no_main]

use libfuzzer_sys::fuzz_target;
use paraplanner::ingest::files::parse_mail;

fuzz_target!(|raw: &[u8]| {
    if let Ok(mail) = parse_mail(raw, None) {
        assert!(!mail.message_id.is_empty());
        assert!(!mail.text.contains(['\0', '\r']));
        assert!(!mail.thread_key().is_empty());
        let segments = paraplanner::retrieval::clean::fresh_segments(&mail.text);
        let chunks = paraplanner::retrieval::chunk::chunk(&mail.text, &segments, "", 100);
        for span in chunks.chunks.iter().flat_map(|chunk| &chunk.spans) {
            assert!(mail.text.get(span.clone()).is_some());
        }
    }
});
