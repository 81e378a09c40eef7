//! Everything that strangers send, one parser at a time: `FUZZ_TARGET` says which. `scripts/fuzz.sh` runs all.
#![no_main]

mod documents;
mod doors;
mod forwarded;
mod items;
mod rule;

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;

type Target = fn(&[u8]);

const TARGETS: [(&str, Target); 14] = [
    ("mime", documents::mime),
    ("html", documents::html),
    ("pdf", documents::pdf),
    ("mbox", items::mbox),
    ("ics", items::ics),
    ("vcf", items::vcf),
    ("csv", items::csv),
    ("rule", rule::rule),
    ("hubspot", doors::hubspot),
    ("signature", doors::signature),
    ("push", doors::push),
    ("jwt", doors::jwt),
    ("chat", doors::chat),
    ("forwarded", forwarded::forwarded),
];

fn target() -> Target {
    static CHOSEN: OnceLock<Target> = OnceLock::new();
    *CHOSEN.get_or_init(|| {
        let wanted = std::env::var("FUZZ_TARGET").unwrap_or_default();
        TARGETS
            .into_iter()
            .find(|(name, _)| *name == wanted)
            .unwrap_or_else(|| panic!("FUZZ_TARGET is one of {:?}", TARGETS.map(|(name, _)| name)))
            .1
    })
}

/// No input may take longer.
const LONGEST: Duration = Duration::from_secs(1);

fuzz_target!(|raw: &[u8]| {
    // Slow is what is slow each time: the machine may be busy with something else once.
    let slow = (0..3).all(|_| {
        let started = Instant::now();
        target()(raw);
        started.elapsed() > LONGEST
    });
    assert!(!slow, "it took more than {LONGEST:?} three times");
});
