//! Rules in plain words: turned by the model, once, into a rule in the grammar that the user reads and saves.
//! What the model writes counts as little as what anybody writes: it is parsed, or refused.

use crate::db::UserScope;
use crate::http::Problem;
use crate::llm::{self, Budget, Message, Purpose};
use crate::rules::grammar::Rule;
use crate::state::App;

use super::routes::read;

/// What a user may write, as users are told.
const GRAMMAR: &str = include_str!("../../docs/rules.md");
/// Changed with every change of the prompt's words.
pub const VERSION: u32 = 2;
/// The first one, and one with the error of the first.
const ATTEMPTS: usize = 2;
/// Fewer words are a slip of the pen in the grammar.
const FEWEST_WORDS: usize = 4;
const LONGEST: usize = 1000;

/// Whether a text is meant for people: in the grammar the second word names an event.
pub(super) fn is_plain(text: &str) -> bool {
    let mut words = text.split_whitespace();
    let is_when = words
        .next()
        .is_some_and(|word| word.eq_ignore_ascii_case("when"));
    let names_event = words.next().is_some_and(|word| word.contains(['.', '*']));
    !(is_when && names_event) && text.split_whitespace().count() >= FEWEST_WORDS
}

/// The rule that these words mean, with its text.
pub(super) async fn written(
    app: &App,
    scope: &UserScope,
    words: &str,
) -> Result<(String, Rule), Problem> {
    // Where it stops making sense as it is: whoever meant the grammar wants to know that.
    let as_it_is = match read(app, words) {
        Ok(rule) => return Ok((words.trim().to_owned(), rule)),
        Err(error) => error,
    };
    if words.chars().count() > LONGEST {
        let message = format!("{as_it_is}; and plain words have at most {LONGEST} characters");
        return Err(Problem::invalid("text", message));
    }
    if llm::chat_model(app).is_none() {
        let message = format!(
            "{as_it_is}; rules in plain words need a language model, and none is configured. Write it as when \
             EVENT if CONDITIONS then ACTION, for example: when gmail.message.received if sender_in_crm=no then \
             create_contact note=\"Wrote about {{subject}}\""
        );
        return Err(Problem::invalid("text", message));
    }
    let mut messages = vec![
        Message::System(format!(
            "You translate what a financial advisor wants into one rule of the language that is described below. \
             Answer with the rule alone, on one line, without quotation marks or explanations around it. Use \
             only what the description names, and `judge` only for what its fields can't decide. If it can't be said in this language, answer with \
             the one word impossible.\n\n{GRAMMAR}"
        )),
        Message::User(words.to_owned()),
    ];
    let mut wrong = String::new();
    for _ in 0..ATTEMPTS {
        let said = ask(app, scope, &messages).await?;
        let text = rule_in(&said);
        match read(app, &text) {
            Ok(rule) => return Ok((text, rule)),
            Err(error) => wrong = error,
        }
        messages.push(Message::Assistant {
            text: said,
            tool_calls: Vec::new(),
        });
        messages.push(Message::User(format!(
            "That isn't a rule of this language: {wrong}"
        )));
    }
    let message = format!("{as_it_is}; nor could the model say it as a rule: {wrong}");
    Err(Problem::invalid("text", message))
}

async fn ask(app: &App, scope: &UserScope, messages: &[Message]) -> Result<String, Problem> {
    let now = app.clock.now();
    let mut tx = scope.begin(&app.pool).await?;
    let budget = Budget::read(&mut tx, now).await?;
    tx.commit().await?;
    if !budget.affords(llm::estimate(messages, &[])) {
        return Err(Problem::over_budget(now, budget.resets_at));
    }
    app.limits.model_call(scope.user_id()).await?;
    let said = llm::turn(app, messages.to_vec(), Vec::new()).await;
    let said = said.map_err(|error| {
        Problem::new(
            axum::http::StatusCode::BAD_GATEWAY,
            "the model gave no answer",
        )
        .caused_by(error)
    })?;
    let mut tx = scope.begin(&app.pool).await?;
    llm::spend(&mut tx, Purpose::Rules, said.usage, now).await?;
    tx.commit().await?;
    Ok(said.text)
}

/// The rule in what a model said, which likes to put something around it.
fn rule_in(said: &str) -> String {
    let lines = said
        .lines()
        .map(|line| line.trim().trim_matches('`').trim());
    let starts = |line: &&str| {
        line.get(..5)
            .is_some_and(|start| start.eq_ignore_ascii_case("when "))
    };
    lines
        .clone()
        .find(starts)
        .or_else(|| lines.clone().find(|line| !line.is_empty()))
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_words_are_told_from_a_slip_in_the_grammar() {
        for plain in [
            "When someone who isn't in HubSpot e-mails me, create a contact with a note",
            "Thank every new client for their trust",
            "when somebody writes about a boat then tell me",
        ] {
            assert!(is_plain(plain), "{plain}");
        }
        for slip in [
            "when gmail.mesage.received if from=x then log",
            "when hubspot.* the log it please",
            "wen gmail",
            "",
        ] {
            assert!(!is_plain(slip), "{slip}");
        }
    }

    #[test]
    fn the_rule_is_found_in_what_a_model_says() {
        let rule = "when gmail.message.received then log";
        for said in [
            rule.to_owned(),
            format!("```\n{rule}\n```"),
            format!("Here it is:\n\n`{rule}`\n\nI hope it helps."),
        ] {
            assert_eq!(rule_in(&said), rule);
        }
        assert_eq!(rule_in("impossible"), "impossible");
        assert_eq!(rule_in(""), "");
    }
}
