//! Cleaning and chunking: fixtures and properties.

use paraplanner::retrieval::{chunk, clean};

fn fresh(text: &str) -> String {
    clean::fresh_segments(text)
        .into_iter()
        .map(|range| &text[range])
        .collect::<Vec<_>>()
        .join(" | ")
}

#[test]
fn what_the_author_wrote() {
    for (text, kept) in [
        (
            "Hello\n\nOn Mon, Jan 1, 2024 at 10:00 AM Bob <bob@example.com> wrote:\n> old\n> older\n",
            "Hello",
        ),
        (
            "Hello\n\nOn Mon, Jan 1, 2024 at 10:00 AM Bob Jones\n<bob@example.com> wrote:\n\n> old\n",
            "Hello",
        ),
        (
            "> question one\nYes.\n\n> question two\nNo.\n",
            "Yes. | No.",
        ),
        (
            "On 1/1/24 Bob wrote:\n> q\n\nBelow is my answer.\n",
            "Below is my answer.",
        ),
        ("Fine\n\n-----Original Message-----\nFrom: Bob\nold", "Fine"),
        (
            "Fine\n\nFrom: Bob <b@example.com>\nSent: Monday\nTo: Alice\nSubject: x\n\nold",
            "Fine",
        ),
        (
            "Fine\n________________________________\nVon: Bob\nGesendet: Montag\nAn: Alice\nBetreff: x\n\nalt",
            "Fine",
        ),
        (
            "FYI\n\n---------- Forwarded message ---------\nFrom: Bob\nSubject: x\n\n> only copy\n",
            "FYI\n\n---------- Forwarded message ---------\nFrom: Bob\nSubject: x\n\n> only copy",
        ),
        (
            "See below\n-- \nAlice\n555\n\nBegin forwarded message:\n\n> From: B\n> only",
            "See below | Begin forwarded message:\n\n> From: B\n> only",
        ),
        ("Text\n-- \nAlice Smith\nTel 555\n", "Text"),
        ("Text\n\nSent from my iPhone\n", "Text"),
        (
            "Text\n_______________________________________________\nusers mailing list\nusers@lists.example.com\nhttps://lists.example.com/mailman/listinfo/users\n",
            "Text",
        ),
        (
            "Text\n\nThis e-mail and any attachments are confidential and\nintended solely for the addressee.\n",
            "Text",
        ),
        (
            "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nText\n-----BEGIN PGP SIGNATURE-----\nabc\n-----END PGP SIGNATURE-----\n",
            "Text",
        ),
        (
            "Ja\n\nAm 01.01.2024 um 10:00 schrieb Bob Jones:\n> alt",
            "Ja",
        ),
        (
            "Oui\n\nLe lun. 1 janv. 2024 à 10:00, Bob <b@example.com> a écrit :\n> vieux",
            "Oui",
        ),
        ("> all\n> quoted\n", "> all\n> quoted"),
        (
            "On Monday I wrote: buy.\nOn we go.\n",
            "On Monday I wrote: buy.\nOn we go.",
        ),
        ("List:\n--\nnot a signature? yes\n", "List:"),
        ("From: the heart\nThanks!\n", "From: the heart\nThanks!"),
        ("", ""),
        (" \n ", ""),
    ] {
        assert_eq!(fresh(text), kept, "{text}");
    }
}

#[test]
fn sentences_of_prose_lists_and_wrapped_lines() {
    let of = |text: &str| -> Vec<String> {
        chunk::sentences(text)
            .map(|range| text[range].to_owned())
            .collect()
    };
    assert_eq!(
        of("Mr. Smith met Dr. Jones. They talked, e.g. about the U.S. Treasury."),
        [
            "Mr. Smith met Dr. Jones.",
            "They talked, e.g. about the U.S. Treasury."
        ]
    );
    assert_eq!(
        of("A line that\nis wrapped. Next!\n\nNew para\n- one\n- two"),
        [
            "A line that\nis wrapped.",
            "Next!",
            "New para",
            "- one",
            "- two"
        ]
    );
    assert_eq!(
        of("It is 3.5 percent. \"Really?\" she asked. Yes."),
        ["It is 3.5 percent.", "\"Really?\" she asked.", "Yes."]
    );
    assert_eq!(of("今天开会。明天不开。"), ["今天开会。", "明天不开。"]);
    assert_eq!(
        of("1. First thing. 2. Second"),
        ["1. First thing.", "2. Second"]
    );
    assert_eq!(
        of("See J. R. Miller at Acme Inc. The rest follows."),
        ["See J. R. Miller at Acme Inc.", "The rest follows."]
    );
    assert_eq!(of(""), Vec::<String>::new());
}

#[test]
fn chunks_overlap_and_stay_small() {
    let text: Vec<String> = (0..100)
        .map(|n| {
            format!(
                "Sentence number {n} has a few words in it.{}",
                if n % 7 == 6 { "\n\n" } else { " " }
            )
        })
        .collect();
    let text = text.concat();
    let chunks = chunk::chunk(
        &text,
        std::slice::from_ref(&(0..text.len())),
        "Email | a",
        100,
    );
    assert!(chunks.complete);
    assert!(
        chunks.chunks.len() > 8 && chunks.chunks.len() < 16,
        "{}",
        chunks.chunks.len()
    );
    for pair in chunks.chunks.windows(2) {
        assert!(pair[0].text.starts_with("Email | a\n"));
        assert!(pair[1].spans[0].start < pair[0].spans.last().expect("span").end + 3);
    }
    let long = "x".repeat(5000);
    let chunks = chunk::chunk(&long, std::slice::from_ref(&(0..5000)), "", 100);
    assert!(
        chunks
            .chunks
            .iter()
            .all(|c| c.text.len() <= chunk::MAX_BYTES)
    );
    let short = "One.\n> q\nTwo.";
    let chunks = chunk::chunk(short, &[0..4, 9..13], "", 100);
    assert_eq!(chunks.chunks.len(), 1);
    assert_eq!(chunks.chunks[0].text, "One.\n\nTwo.");
}
