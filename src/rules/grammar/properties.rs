//! What must hold for every text and every rule.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::condition::Operands;
use super::pattern::{Needle, Pattern};
use super::trigger::fields;
use super::*;

/// Anything that can be seen, and what is special to the grammar more often than chance has it.
const WRITTEN: &str = "(\\PC|[\n\t \"'“”‘’*\\\\{}(),;.=~]|and|then|or){0,12}";

/// Words of the grammar in any order: nearer to rules than chance comes.
fn soup() -> impl Strategy<Value = String> {
    let mut words: Vec<&str> = vec![
        "when",
        "or",
        "if",
        "not",
        "then",
        "and",
        "judge",
        ",",
        ";",
        "(",
        ")",
        "\"",
        "“",
        "”",
        "'",
        "=",
        "!=",
        "~",
        "<",
        "*",
        "\\",
        "{",
        "}",
        "{{",
        "5",
        "yes",
        ".",
        "\"a {from}\"",
        "\n",
        "é",
        "hubspot.*",
        "type=",
        "follow_up",
        "to=",
        "a@b",
        "text=",
        "due=",
        "2h",
    ];
    words.extend(Event::ALL.iter().map(|event| event.name()));
    words.extend(Field::ALL.iter().map(|field| field.name()));
    words.extend(ActionName::ALL.iter().map(|action| action.name()));
    vec((select(words), "[ ]?"), 0..40).prop_map(|words| {
        let words = words
            .into_iter()
            .map(|(word, space)| word.to_owned() + &space);
        format!("when {}", words.collect::<String>())
    })
}

/// A rule cut short, with something else in its place.
fn broken() -> impl Strategy<Value = String> {
    (
        rule(),
        any::<prop::sample::Index>(),
        any::<prop::sample::Index>(),
        WRITTEN,
    )
        .prop_map(|(rule, from, until, inserted)| {
            let mut chars: Vec<char> = rule.to_string().chars().collect();
            let (from, until) = (from.index(chars.len()), until.index(chars.len()));
            chars.splice(from.min(until)..from.max(until), inserted.chars());
            chars.into_iter().collect()
        })
}

fn triggers() -> impl Strategy<Value = Vec<Trigger>> {
    let mut written: Vec<String> = Event::ALL.iter().map(ToString::to_string).collect();
    written.extend(
        [
            "*",
            "gmail.*",
            "*.*.deletion",
            "hubspot.*.merge",
            "*.note.*",
        ]
        .map(Into::into),
    );
    let trigger = select(written).prop_map(|written| Trigger::new(&written).expect("a trigger"));
    vec(trigger, 1..4)
}

fn comparison(known: Vec<Field>) -> impl Strategy<Value = Condition> {
    select(known)
        .prop_flat_map(|field| (Just(field), select(field.kind().ops())))
        .prop_flat_map(|(field, op)| {
            let operands = match (field.kind(), op) {
                (Kind::Text | Kind::List, Op::Contains | Op::Lacks) => WRITTEN
                    .prop_map(|text| Operands::Needle(Needle::new(text)))
                    .boxed(),
                (Kind::Text | Kind::List, _) => {
                    vec(pattern(), 1..4).prop_map(Operands::Patterns).boxed()
                }
                (Kind::Flag, _) => vec(any::<bool>(), 1..3).prop_map(Operands::Flags).boxed(),
                (Kind::Number, Op::Is | Op::IsNot) => {
                    vec(-1e15..1e15, 1..4).prop_map(Operands::Numbers).boxed()
                }
                (Kind::Number, _) => (-1e15..1e15)
                    .prop_map(|number| Operands::Numbers(vec![number]))
                    .boxed(),
            };
            operands
                .prop_map(move |operands| Condition::Compare(Comparison::new(field, op, operands)))
        })
}

fn pattern() -> impl Strategy<Value = Pattern> {
    (WRITTEN, any::<u64>()).prop_map(|(text, stars)| {
        let star = |n: usize, c| c == '*' && stars >> (n % 64) & 1 == 1;
        Pattern::new(text.chars().enumerate().map(|(n, c)| (c, star(n, c))))
    })
}

fn condition(known: Vec<Field>) -> impl Strategy<Value = Condition> {
    let judge = WRITTEN.prop_map(|question| Condition::Judge(question + "?"));
    let leaf = prop_oneof![4 => comparison(known), 1 => judge];
    leaf.prop_recursive(5, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 1..4).prop_map(Condition::all),
            vec(inner.clone(), 1..4).prop_map(Condition::any),
            inner.prop_map(|inner| Condition::Not(Box::new(inner))),
        ]
    })
}

/// With something in it, and placeholders for fields that are known.
fn template(known: Vec<Field>) -> impl Strategy<Value = Template> {
    let text = WRITTEN.prop_map(|text| text.replace('{', "{{").replace('}', "}}") + "x");
    let field = select(known.clone()).prop_map(|field| format!("{{{field}}}"));
    vec(prop_oneof![text, field], 1..4).prop_map(move |pieces| {
        let chars: Vec<_> = pieces.concat().char_indices().collect();
        Template::read(&chars, &known).expect("a template")
    })
}

fn action(known: &[Field]) -> impl Strategy<Value = Action> + use<> {
    let due =
        (0..=120u32, 0..=3_660u32, 0..=316_224_000u32).prop_map(|(months, days, seconds)| Due {
            months,
            days,
            seconds,
        });
    let address = || {
        let placeholder = select(known.to_vec()).prop_map(|field| format!("{{{field}}}"));
        let known = known.to_vec();
        prop_oneof![placeholder, "[a-z]{1,4}@[a-zé]{1,4}\\.com"].prop_map(move |text| {
            let chars: Vec<_> = text.char_indices().collect();
            Template::read(&chars, &known).expect("a template")
        })
    };
    let text = || option::of(template(known.to_vec()));
    prop_oneof![
        text().prop_map(|text| Action::Log { text }),
        (
            select(TaskKind::ALL),
            select(Priority::ALL),
            text(),
            option::of(due)
        )
            .prop_map(|(kind, priority, title, due)| Action::CreateTask {
                kind,
                priority,
                title,
                due
            }),
        (text(), option::of(address()), text())
            .prop_map(|(name, email, note)| Action::CreateContact { name, email, note }),
        (text(), text()).prop_map(|(text, contact)| Action::CreateNote { text, contact }),
        text().prop_map(|instructions| Action::DraftReply { instructions }),
        ("[a-z0-9_]{1,5}", option::of(address()), text(), text()).prop_map(
            |(template, to, subject, text)| Action::SendEmail {
                template,
                to,
                subject,
                text
            }
        ),
        template(known.to_vec()).prop_map(|text| Action::AskAssistant { text }),
    ]
}

fn rule() -> impl Strategy<Value = Rule> {
    triggers().prop_flat_map(|triggers| {
        let known = fields(&triggers);
        let conditions = option::of(condition(known.clone()));
        (Just(triggers), conditions, vec(action(&known), 1..4)).prop_map(
            |(triggers, condition, actions)| Rule {
                triggers,
                condition,
                actions,
            },
        )
    })
}

/// An error points into the text, and what can be read can be read again.
fn is_sound(text: &str) -> Result<(), TestCaseError> {
    match parse(text) {
        Ok(rule) => {
            let canonical = rule.to_string();
            prop_assert_eq!(parse(&canonical), Ok(rule), "{}", canonical);
        }
        Err(error) => {
            let line = text.split('\n').nth(error.line - 1);
            let length = line.map(|line| line.chars().count());
            prop_assert!(
                length.is_some_and(|length| error.column <= length + 1),
                "{}",
                error
            );
            prop_assert!(error.column >= 1);
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in any::<String>(), longer in "(?s).{0,300}") {
        is_sound(&text)?;
        is_sound(&longer)?;
    }

    #[test]
    fn no_heap_of_words_makes_it_panic(text in soup()) {
        is_sound(&text)?;
    }

    #[test]
    fn no_broken_rule_makes_it_panic(text in broken()) {
        is_sound(&text)?;
    }

    #[test]
    fn every_rule_is_read_back(rule in rule()) {
        let canonical = rule.to_string();
        match parse(&canonical) {
            Ok(read) => prop_assert_eq!(read, rule, "{}", canonical),
            Err(error) => prop_assert!(false, "{}\n{}", error, canonical),
        }
    }
}
