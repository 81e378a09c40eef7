//! Counts text that looks like an attempt at SQL or script injection. It refuses nothing: `O'Brien` and a
//! mail about `DROP TABLE` are ordinary, and what keeps them harmless is that no text is ever made into SQL
//! or HTML. The count tells an operator that somebody tries.

use std::sync::LazyLock;

use regex::RegexSet;

use crate::telemetry::Metrics;

/// Names and patterns; the names are the metric's label.
const RULES: [(&str, &str); 2] = [
    (
        "sql",
        r"(?ix) \bunion\s+(all\s+)?select\b | \b(drop|truncate|alter)\s+table\b | \bdelete\s+from\b
            | ['\x22]\s*(or|and)\s+['\x22\d]\S*\s*= | ['\x22]\s*;\s*-- | \bpg_sleep\s*\( | \bxp_cmdshell\b",
    ),
    (
        "script",
        r"(?ix) <\s*(script|iframe|object|embed|svg)\b | \bjavascript\s*: | \bon(error|load|click|mouseover)\s*=
            | \bdata\s*:\s*text/html",
    ),
];

/// More than any question or rule has.
const LONGEST: usize = 64 * 1024;

static PATTERNS: LazyLock<RegexSet> =
    LazyLock::new(|| RegexSet::new(RULES.map(|(_, pattern)| pattern)).expect("sound patterns"));

/// Names of the rules that a text matches.
fn matched(text: &str) -> impl Iterator<Item = &'static str> + use<> {
    let text = text.get(..text.floor_char_boundary(LONGEST));
    PATTERNS
        .matches(text.unwrap_or_default())
        .into_iter()
        .filter_map(|rule| Some(RULES.get(rule)?.0))
}

/// Counts and logs which rules a request's text matches; the text itself isn't logged.
pub(super) fn screen(metrics: Option<&Metrics>, text: &str) {
    for rule in matched(text) {
        tracing::info!(rule, "a request's text looks like an injection");
        if let Some(metrics) = metrics {
            metrics.screened(rule);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_are_told_from_letters() {
        let of = |text: &str| matched(text).collect::<Vec<_>>();
        for sql in [
            "x' OR '1'='1",
            "1 UNION ALL SELECT password",
            "'; DROP TABLE users; --",
            "a\" and 1=1",
        ] {
            assert_eq!(of(sql), ["sql"], "{sql}");
        }
        for script in [
            "<script>alert(1)</script>",
            "<img src=x onerror=alert(1)>",
            "[a](JavaScript:alert(1))",
        ] {
            assert_eq!(of(script), ["script"], "{script}");
        }
        for letter in [
            "O'Brien",
            "Sara's union may select a new trustee.",
            "Please drop the table by the window from the order, and select another.",
            "He said 'yes' or 'no'",
            "size on load: 5",
        ] {
            assert_eq!(of(letter), [""; 0], "{letter}");
        }
    }
}
