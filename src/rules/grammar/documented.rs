//! docs/rules.md held against the grammar.

use super::*;

const PAGE: &str = include_str!("../../../docs/rules.md");

/// Whether some table has a row of these cells first.
fn has_row(cells: &[&str]) -> bool {
    let row = format!("| {} |", cells.join(" | "));
    PAGE.lines().any(|line| line.starts_with(&row))
}

#[test]
fn every_rule_on_the_page_is_one() {
    let mut rules = 0;
    for block in PAGE.split("```rule\n").skip(1) {
        let text = block.split("```").next().unwrap_or_default();
        if let Err(error) = parse(text) {
            panic!("{error} in {text}");
        }
        rules += 1;
    }
    assert!(rules > 8, "the rules are found");
}

#[test]
fn every_word_stands_on_the_page() {
    for event in Event::ALL {
        assert!(PAGE.contains(&format!("\n| `{event}` | ")), "{event}");
    }
    for field in Field::ALL {
        let cells = [&format!("`{field}`"), field.kind().name()];
        assert!(has_row(&cells), "{field}");
    }
    for op in Op::ALL {
        assert!(has_row(&[&format!("`{op}`")]), "{op}");
    }
    for action in ActionName::ALL {
        let action_cell = format!("`{action}`");
        assert!(has_row(&[&action_cell]), "{action}");
        for parameter in action.parameters() {
            let cells = [&*action_cell, &format!("`{parameter}`")];
            assert!(has_row(&cells), "{action} {parameter}");
        }
    }
    for kind in TaskKind::ALL {
        assert!(PAGE.contains(&format!("`{kind}`")), "{kind}");
    }
    for priority in Priority::ALL {
        assert!(PAGE.contains(&format!("`{priority}`")), "{priority}");
    }
}

#[test]
fn the_limits_on_the_page_are_the_grammar_s() {
    for (of, limit) in [
        ("triggers", MAX_TRIGGERS),
        (
            "comparisons, where each value of a list and each `judge` counts as one",
            MAX_COMPARISONS,
        ),
        ("parentheses and `not` within one another", MAX_NESTING),
        ("actions", MAX_ACTIONS),
    ] {
        assert!(has_row(&[of, &limit.to_string()]), "{of}");
    }
    assert!(PAGE.contains("| 4,000 |") && MAX_CHARS == 4_000);
}

#[test]
fn the_errors_on_the_page_are_the_grammar_s() {
    for text in [
        "when gmail.message.received then reply_al \"x\"",
        "when gmail.message.recieved then log",
        "when gmail.message.received if subject<a then log",
        "when gmail.message.sent\nthan log",
    ] {
        let error = parse(text).expect_err(text);
        assert!(PAGE.contains(&format!("\n    {error}\n")), "{error}");
    }
}
