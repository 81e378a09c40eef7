//! HTML of any bytes, to text and sanitised: what is shown never loads or runs anything.
#![no_main]

use libfuzzer_sys::fuzz_target;
use paraplanner::html::{html_to_text, sanitise};


fuzz_target!(|raw: &[u8]| {
    let html = String::from_utf8_lossy(raw);
    let text = html_to_text(&html);
    assert!(!text.contains('\0'));
    let shown = sanitise(&html).to_lowercase();
    for bad in [
        "<script", "<style", "<img", "<svg", "<iframe", "<form", "<base", "<meta", "<link",
    ] {
        assert!(!shown.contains(bad), "{bad}");
    }
    assert!(!shown.contains("href=\"javascript:"));
});
