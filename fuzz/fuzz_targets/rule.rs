//! A rule of any text: no panic, an error within the text, and a canonical text that says the same rule.

use paraplanner::rules::grammar::parse;

pub fn rule(raw: &[u8]) {
    let text = String::from_utf8_lossy(raw);
    match parse(&text) {
        Ok(rule) => {
            let canonical = rule.to_string();
            assert_eq!(parse(&canonical).as_ref(), Ok(&rule), "{canonical}");
            assert_eq!(rule.to_string(), canonical);
        }
        Err(error) => {
            let line = text
                .split('\n')
                .nth(error.line - 1)
                .expect("a line of the text");
            assert!(
                (1..=line.chars().count() + 1).contains(&error.column),
                "{error}"
            );
        }
    }
}
