//! What stands behind `then`.

use winnow::Parser as _;
use winnow::combinator::opt;
use winnow::error::ErrMode;
use winnow::stream::Stream as _;
use winnow::token::take_while;

use super::super::action::Action;
use super::super::error::{Fault, nearest, shown};
use super::super::lexicon::ends_word;
use super::super::vocabulary::ActionName;
use super::MAX_ACTIONS;
use super::input::{Input, Literal, Parsed, missing, next, quoted, symbol, value, word};
use super::parameters::Given;

pub fn action(input: &mut Input<'_>) -> Parsed<Action> {
    let (at, written) = word("an action")(input)?;
    input.state.actions += 1;
    if input.state.actions > MAX_ACTIONS {
        let sentence = format!("a rule has at most {MAX_ACTIONS} actions");
        return Err(ErrMode::Cut(Fault::says(at, sentence).finding(written)));
    }
    let Some(name) = ActionName::parse(written) else {
        let known: Vec<&str> = ActionName::ALL.iter().map(|name| name.name()).collect();
        return Err(ErrMode::Cut(Fault::unknown(at, written, "action", &known)));
    };
    let mut parameters = Vec::new();
    if let Some(text) = text(input, name)? {
        parameters.push(("text", text));
    }
    while let Some((at, parameter)) = parameter_name(input, name)? {
        if parameters.iter().any(|(known, _)| *known == parameter) {
            let sentence = format!("{name} has its {parameter} already");
            return Err(ErrMode::Cut(Fault::says(at, sentence)));
        }
        parameters.push((parameter, value(input)?));
    }
    let given = Given {
        at,
        name,
        parameters,
        fields: &input.state.fields,
    };
    given.into_action().map_err(ErrMode::Cut)
}

/// The text in quotes behind the name.
fn text(input: &mut Input<'_>, name: ActionName) -> Parsed<Option<Literal>> {
    let at = next(input)?;
    let text = opt(quoted).parse_next(input)?;
    match &text {
        Some(_) if !name.takes_text() => {
            let sentence = format!("{name} takes no text of its own");
            let fault = Fault::says(at, sentence).expecting(&assignments(name));
            return Err(ErrMode::Cut(fault));
        }
        None if name == ActionName::AskAssistant => {
            return missing(input, "a text in quotes").map_err(ErrMode::cut);
        }
        None if name.takes_text() => input.state.note(at, "a text in quotes"),
        _ => {}
    }
    Ok(text)
}

fn assignments(name: ActionName) -> Vec<String> {
    let parameters = name.parameters().iter();
    parameters
        .map(|parameter| format!("{parameter}="))
        .collect()
}

/// The next `name=`, if one follows.
fn parameter_name(
    input: &mut Input<'_>,
    name: ActionName,
) -> Parsed<Option<(usize, &'static str)>> {
    let at = next(input)?;
    let start = input.checkpoint();
    let written = take_while(0.., |c| !ends_word(c)).parse_next(input)?;
    let mut known = name.parameters().iter().copied();
    let parameter = known.find(|known| known.eq_ignore_ascii_case(written));
    match (opt(symbol('=')).parse_next(input)?, parameter) {
        (Some(()), Some(parameter)) => Ok(Some((at, parameter))),
        (Some(()), None) => {
            let sentence = format!("{name} has no parameter {}", shown(written));
            let fault = Fault::says(at, sentence)
                .finding(written)
                .expecting(&assignments(name))
                .meaning(nearest(written, name.parameters()));
            Err(ErrMode::Cut(fault))
        }
        (None, Some(_)) => missing(input, "=").map_err(ErrMode::cut),
        (None, None) => {
            input.reset(&start);
            if !name.parameters().is_empty() {
                input.state.note(at, "a parameter");
            }
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;

    fn canonical(action: &str) -> String {
        let text = format!("when * then {action}");
        let rule = parse(&text).unwrap_or_else(|error| panic!("{action}: {error}"));
        rule.actions[0].to_string()
    }

    /// With the column counted from the action's first character.
    fn refused(action: &str) -> (usize, String) {
        let error = parse(&format!("when gmail.message.* then {action}")).expect_err(action);
        let message = error
            .message
            .split_once(": ")
            .map(|(_, message)| message.to_owned());
        (error.column - 26, message.unwrap_or_default())
    }

    #[test]
    fn actions_are_read_with_their_parameters_in_any_order() {
        for (written, read) in [
            ("log \"Saw {subject}\"", "log \"Saw {subject}\""),
            (
                "create_task due=2h title={subject} type=follow_up",
                "create_task type=follow_up title=\"{subject}\" due=PT2H",
            ),
            (
                "create_task type=Generic priority=normal",
                "create_task type=generic",
            ),
            (
                "create_contact email={from} name='{from_name}'",
                "create_contact name=\"{from_name}\" email=\"{from}\"",
            ),
            (
                "create_note text=hello contact = Ann",
                "create_note \"hello\" contact=Ann",
            ),
            ("draft_reply", "draft_reply"),
            (
                "draft_reply \"Thank them,\\nbriefly\"",
                "draft_reply \"Thank them,\\nbriefly\"",
            ),
            (
                "send_email template=hello_2 to=a@b.com text=\"{{}}\"",
                "send_email template=hello_2 to=a@b.com text=\"{{}}\"",
            ),
            (
                "ask_assistant\"Who is {from}?\"",
                "ask_assistant \"Who is {from}?\"",
            ),
        ] {
            assert_eq!(canonical(written), read);
        }
    }

    #[test]
    fn what_is_wrong_is_said_at_its_place() {
        for (written, column, begins) in [
            (
                "reply_al",
                1,
                "\"reply_al\" is no action; expected one of log, create_task, create_contact, create_note, draft_reply, send_email, ask_assistant (did you mean draft_reply?)",
            ),
            ("log x=5", 5, "log has no parameter \"x\""),
            (
                "create_task",
                1,
                "create_task wants a type=; expected one of welcome_email, follow_up",
            ),
            (
                "create_task \"x\"",
                13,
                "create_task takes no text of its own; expected one of type=, priority=, title=, due=",
            ),
            (
                "create_task typ=generic",
                13,
                "create_task has no parameter \"typ\"; expected one of type=, priority=, title=, due= (did you mean type?)",
            ),
            (
                "create_task type=generic type=generic",
                26,
                "create_task has its type already",
            ),
            (
                "create_task type generic",
                18,
                "\"generic\" doesn't belong here; expected =",
            ),
            (
                "create_task type=",
                18,
                "the rule ends too early; expected a value",
            ),
            (
                "create_task type=generics",
                18,
                "\"generics\" is no type of task; expected one of welcome_email, follow_up, process_email, meeting_brief, generic (did you mean generic?)",
            ),
            (
                "create_task type=generic priority=urgent",
                35,
                "\"urgent\" is no priority; expected one of low, normal, high",
            ),
            (
                "create_task type=generic due=soon",
                30,
                "\"soon\" is no span of time; expected one of 30m, 2h",
            ),
            (
                "create_task type=generic, due=2h",
                27,
                "\"due\" is no action",
            ),
            (
                "create_note \"a\" text=b",
                17,
                "create_note has its text already",
            ),
            (
                "create_contact email=ann",
                22,
                "\"ann\" is no e-mail address",
            ),
            ("send_email to=a@b.com", 1, "send_email wants a template="),
            (
                "send_email template=Hello",
                21,
                "\"Hello\" is no name of a template; expected small letters, digits and _",
            ),
            (
                "send_email template=a to=\"a@b, c@d\"",
                26,
                "\"a@b, c@d\" is no e-mail address",
            ),
            (
                "send_email template=a to=\"{from}\\nbcc: c@d\"",
                26,
                "\"{from}\\nbcc: c@d\" is no e-mail address",
            ),
            (
                "ask_assistant",
                14,
                "the rule ends too early; expected a text in quotes",
            ),
            (
                "ask_assistant hello",
                15,
                "\"hello\" doesn't belong here; expected a text in quotes",
            ),
            (
                "ask_assistant \" \"",
                15,
                "there is nothing to ask in an empty text",
            ),
            (
                "log \"a \\\" {stage}\"",
                12,
                "no event of this rule has the field \"stage\"; expected one of event, own, from",
            ),
            (
                "log \"{subjct}\"",
                7,
                "\"subjct\" is no field; expected one of event, own, from, from_name",
            ),
            ("log \"{subject\"", 6, "this { is never closed"),
            ("log \"a}\"", 7, "this } closes nothing"),
        ] {
            let (at, message) = refused(written);
            assert!(message.starts_with(begins), "{written}: {message}");
            assert_eq!(at, column, "{written}: {message}");
        }
    }
}
