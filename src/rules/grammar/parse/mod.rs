//! Text → [`Rule`].
//!
//! `winnow` does the walking, backtracking and counting of places. Wherever a word is looked for in
//! vain it is noted, so that an error can say all that would have fitted there. Once a clause has
//! begun nothing else can fit, so errors within it are final.

mod action;
mod condition;
mod input;
mod operands;
mod parameters;

use winnow::Parser as _;
use winnow::combinator::{cut_err, opt, preceded, separated};
use winnow::error::ErrMode;

use super::error::{Fault, SyntaxError};
use super::trigger::{Trigger, fields};
use super::vocabulary::Event;
use super::{Condition, Rule};
use input::{Input, Parsed, end, keyword, symbol, word};

pub const MAX_CHARS: usize = 4_000;
pub const MAX_TRIGGERS: usize = 10;
/// Each value of a list and each question to be judged counts as one.
pub const MAX_COMPARISONS: usize = 50;
/// Of parentheses and `not` within one another; so deep, and no deeper, the parser calls itself.
pub const MAX_NESTING: usize = 16;
pub const MAX_ACTIONS: usize = 10;

/// The rule that a text says, or where it stops saying one.
pub fn parse(text: &str) -> Result<Rule, SyntaxError> {
    if let Some((at, _)) = text.char_indices().nth(MAX_CHARS) {
        let sentence = format!("a rule has at most {MAX_CHARS} characters");
        return Err(Fault::says(at, sentence).located(text, &[]));
    }
    // No database stores a NUL, and nobody sees the others.
    let unseen = |c: char| c.is_control() && !c.is_whitespace();
    if let Some(at) = text.find(unseen) {
        return Err(Fault::says(at, "this character can't be seen").located(text, &[]));
    }
    let sentence = text.trim_end();
    let sentence = sentence.strip_suffix('.').unwrap_or(sentence).trim_end();
    let mut input = input::new(sentence);
    let rule = rule(&mut input).map_err(|error| {
        let fault = match error {
            ErrMode::Backtrack(fault) | ErrMode::Cut(fault) => fault,
            ErrMode::Incomplete(_) => Fault::unexpected(sentence.len()),
        };
        let tried = input.state.tried_at(fault.at);
        fault.located(sentence, tried)
    })?;
    // Quoting and escaping may lengthen it, and what we write must be readable by us.
    let length = rule.to_string().chars().count();
    if length > MAX_CHARS {
        let sentence = format!(
            "written out, with what must be quoted and escaped, the rule has {length} characters; \
             {MAX_CHARS} are the most"
        );
        return Err(Fault::says(0, sentence).located(text, &[]));
    }
    Ok(rule)
}

fn rule(input: &mut Input<'_>) -> Parsed<Rule> {
    keyword("when").parse_next(input)?;
    let triggers: Vec<Trigger> =
        separated(1.., cut_err(trigger), separator(&[','], "or")).parse_next(input)?;
    input.state.fields = fields(&triggers);
    let condition: Option<Condition> =
        opt(preceded(keyword("if"), cut_err(condition::any_of))).parse_next(input)?;
    keyword("then").parse_next(input)?;
    let actions = separated(
        1..,
        cut_err(action::action),
        (separator(&[',', ';'], "and"), opt(keyword("then"))),
    )
    .parse_next(input)?;
    end(input)?;
    Ok(Rule {
        triggers,
        condition,
        actions,
    })
}

/// A mark, a word, or both (`log, and create_task …`).
fn separator<'t>(
    marks: &'static [char],
    joining: &'static str,
) -> impl winnow::Parser<Input<'t>, (), ErrMode<Fault>> {
    move |input: &mut Input<'t>| {
        for mark in marks {
            if opt(symbol(*mark)).parse_next(input)?.is_some() {
                return opt(keyword(joining)).void().parse_next(input);
            }
        }
        keyword(joining).parse_next(input)
    }
}

fn trigger(input: &mut Input<'_>) -> Parsed<Trigger> {
    let (at, written) = word("an event")(input)?;
    input.state.triggers += 1;
    if input.state.triggers > MAX_TRIGGERS {
        let sentence = format!("a rule has at most {MAX_TRIGGERS} triggers");
        return Err(ErrMode::Cut(Fault::says(at, sentence).finding(written)));
    }
    let partly = |part: &&str| part.contains('*') && *part != "*";
    if let Some(part) = written.split('.').find(partly) {
        let sentence = "a * stands for a whole part between dots, never for some letters";
        return Err(ErrMode::Cut(Fault::says(at, sentence).finding(part)));
    }
    Trigger::new(written).ok_or_else(|| {
        let events: Vec<&str> = Event::ALL.iter().map(|event| event.name()).collect();
        let fault = Fault::unknown(at, written, "event", &events);
        ErrMode::Cut(fault.meaning(Trigger::nearest(written)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> String {
        let rule = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        rule.to_string()
    }

    fn refused(text: &str) -> SyntaxError {
        parse(text).expect_err(text)
    }

    #[test]
    fn rules_are_read_as_they_are_written() {
        for text in [
            "when hubspot.contact.creation then create_task type=welcome_email priority=high",
            "when gmail.message.received then log",
            "when gmail.message.received if from=*@bigclient.com and sender_in_crm=no and subject~quarterly \
             then create_contact note=\"Wrote about {subject}\" and log",
            "when hubspot.* then log",
            "when gmail.message.sent or calendar.event.* if own=no then ask_assistant \"Look at {subject}{title}\"",
        ] {
            assert_eq!(canonical(text), text);
        }
    }

    #[test]
    fn words_in_any_case_and_any_space_are_the_same_rule() {
        for text in [
            "WHEN\u{a0}HubSpot.Note.*,\r\n\thubspot.deal.merge If Name=“x y” Then LOG ; create_note “n” Contact = Ann.",
            "when hubspot.note.*, or hubspot.deal.merge if name = \"x y\" then log, and then create_note 'n' contact=Ann .",
        ] {
            assert_eq!(
                canonical(text),
                "when hubspot.note.* or hubspot.deal.merge if name=\"x y\" then log and create_note \"n\" contact=Ann"
            );
        }
    }

    #[test]
    fn what_is_missing_is_said_where_it_is_missed() {
        for (text, message) in [
            ("", "column 1: the rule ends too early; expected when"),
            (
                "whn x",
                "column 1: \"whn\" doesn't belong here; expected when",
            ),
            (
                "when",
                "column 5: the rule ends too early; expected an event",
            ),
            (
                "when gmail.message.sent",
                "column 24: the rule ends too early; expected one of or, if, then",
            ),
            (
                "when gmail.message.sent;",
                "column 24: \";\" doesn't belong here; expected one of or, if, then",
            ),
            (
                "when gmail.message.sent\nthan log",
                "line 2, column 1: \"than\" doesn't belong here; expected one of or, if, then",
            ),
            (
                "when gmail.message.sent then",
                "column 29: the rule ends too early; expected an action",
            ),
            (
                "when gmail.message.sent then log and",
                "column 37: the rule ends too early; expected one of then, an action",
            ),
            (
                "when gmail.message.sent then log log",
                "column 34: \"log\" doesn't belong here; expected one of a text in quotes, and, the end",
            ),
            (
                "when gmail.message.sent then log , ..",
                "column 36: \".\" is no action; expected one of log, create_task, create_contact, \
                 create_note, draft_reply, send_email, ask_assistant",
            ),
        ] {
            assert_eq!(refused(text).message, message, "{text}");
        }
    }

    #[test]
    fn a_trigger_that_fits_nothing_suggests_one_that_does() {
        let error = refused("when é or gmail.message.recieved then log");
        assert_eq!((error.line, error.column), (1, 6));
        for (text, message) in [
            (
                "when gmail.message.recieved then log",
                "column 6: \"gmail.message.recieved\" is no event (did you mean gmail.message.received?)",
            ),
            (
                "when *.deletion then log",
                "column 6: \"*.deletion\" is no event (did you mean *.*.deletion?)",
            ),
            (
                "when hubspot then log",
                "column 6: \"hubspot\" is no event (did you mean hubspot.*?)",
            ),
            (
                "when * or hub* then log",
                "column 11: a * stands for a whole part between dots, never for some letters",
            ),
            (
                "when gmail.mess*.sent then log",
                "column 6: a * stands for a whole part between dots, never for some letters",
            ),
        ] {
            let error = refused(text);
            assert_eq!(error.message, message, "{text}");
        }
        assert_eq!(refused("when x then log").expected.len(), Event::ALL.len());
    }

    #[test]
    fn limits_are_kept_and_named() {
        let list = |count: usize, with: &str, item: &str| vec![item; count].join(with);
        let triggers = |count| format!("when {} then log", list(count, " or ", "*"));
        let actions = |count| format!("when * then {}", list(count, " and ", "log"));
        let comparisons = |count| format!("when * if {} then log", list(count, ", ", "own=no"));
        let values = |count| {
            format!(
                "when * if own=no and name=({}) then log",
                list(count, ",", "x")
            )
        };
        let nested = |open: &str, count, close: &str| {
            format!(
                "when * if {}own=no{} then log",
                open.repeat(count),
                close.repeat(count)
            )
        };
        let text = |count| format!("when * then log \"{}\"", "é".repeat(count));
        for (fits, too_much, column, says) in [
            (triggers(10), triggers(11), 56, "10 triggers"),
            (actions(10), actions(11), 93, "10 actions"),
            (comparisons(50), comparisons(51), 411, "50 comparisons"),
            (values(49), values(50), 126, "50 comparisons"),
            (nested("(", 16, ")"), nested("(", 17, ")"), 27, "16 deep"),
            (
                nested("not (", 8, ")"),
                nested("not (", 9, ")"),
                51,
                "16 deep",
            ),
            (text(3_982), text(3_983), 4_001, "4000 characters"),
        ] {
            parse(&fits).unwrap_or_else(|error| panic!("{fits}: {error}"));
            let error = refused(&too_much);
            assert!(error.message.contains(says), "{error}");
            assert_eq!(error.column, column, "{error}");
        }
    }

    #[test]
    fn what_could_not_be_written_out_is_refused() {
        let error = refused(&format!("when * then log \"{}\"", "\n".repeat(3_000)));
        assert!(error.message.contains("6018 characters"), "{error}");
        assert_eq!((error.line, error.column), (1, 1));
    }

    #[test]
    fn hidden_characters_are_refused() {
        let error = refused("when * then log \"a\0b\"");
        assert_eq!((error.column, error.found.as_deref()), (19, Some("\0b")));
    }

    #[test]
    fn a_hostile_text_ends_soon() {
        for text in [
            "(".repeat(9_000_000),
            "when * if ".to_owned() + &"(".repeat(3_000),
            "when * if ".to_owned() + &"not ".repeat(900),
        ] {
            refused(&text);
        }
    }
}
