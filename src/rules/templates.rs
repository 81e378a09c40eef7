//! Mails that rules can send by name. What a rule says itself (`subject=`, `text=`) goes before.

const WRITTEN: [(&str, &str, &str); 4] = [
    (
        "welcome",
        "Welcome",
        "Hello,\n\nI am glad that we are in touch. Tell me what is on your mind, or which days suit you for a \
         first conversation, and I will find a time.\n\nBest regards",
    ),
    (
        "thanks",
        "Thank you",
        "Hello,\n\nthank you for your message. I will come back to you shortly.\n\nBest regards",
    ),
    (
        "thank_you",
        "Thank you for becoming a client",
        "Hello,\n\nthank you for your trust. I look forward to working with you.\n\nBest regards",
    ),
    (
        "follow_up",
        "Following up",
        "Hello,\n\nI wanted to come back to what we spoke about. Is there anything that you need from \
         me?\n\nBest regards",
    ),
];

/// Subject and text of a template.
pub(super) fn written(name: &str) -> Option<(&'static str, &'static str)> {
    WRITTEN
        .into_iter()
        .find(|(known, ..)| *known == name)
        .map(|(_, subject, text)| (subject, text))
}
