//! What stands behind `if`.

use winnow::Parser as _;
use winnow::combinator::{alt, cut_err, opt, separated};
use winnow::error::ErrMode;
use winnow::token::take_while;

use super::super::condition::{Comparison, Condition};
use super::super::error::{Fault, shown};
use super::super::lexicon::is_operator;
use super::super::vocabulary::{Field, Op};
use super::input::{Input, Literal, Parsed, keyword, missing, next, quoted, symbol, value, word};
use super::operands::operands;
use super::{MAX_COMPARISONS, MAX_NESTING, separator};

pub fn any_of(input: &mut Input<'_>) -> Parsed<Condition> {
    let parts = separated(1.., cut_err(all_of), keyword("or")).parse_next(input)?;
    Ok(Condition::any(parts))
}

fn all_of(input: &mut Input<'_>) -> Parsed<Condition> {
    let parts = separated(1.., cut_err(one), separator(&[','], "and")).parse_next(input)?;
    Ok(Condition::all(parts))
}

fn one(input: &mut Input<'_>) -> Parsed<Condition> {
    let at = next(input)?;
    if opt(keyword("not")).parse_next(input)?.is_none() {
        return term(input);
    }
    let inner = nested(input, at, term)?;
    Ok(Condition::Not(Box::new(inner)))
}

fn term(input: &mut Input<'_>) -> Parsed<Condition> {
    let at = next(input)?;
    if opt(symbol('(')).parse_next(input)?.is_some() {
        let inner = nested(input, at, any_of)?;
        return match opt(symbol(')')).parse_next(input)? {
            Some(()) => Ok(inner),
            None => missing(input, ")"),
        };
    }
    input.state.note(at, "(");
    alt((judge, comparison)).parse_next(input)
}

/// One level deeper; `at` is what leads there.
fn nested(
    input: &mut Input<'_>,
    at: usize,
    inner: fn(&mut Input<'_>) -> Parsed<Condition>,
) -> Parsed<Condition> {
    if input.state.nesting == MAX_NESTING {
        let sentence = format!("parentheses and not may nest {MAX_NESTING} deep at most");
        return Err(ErrMode::Cut(Fault::says(at, sentence)));
    }
    input.state.nesting += 1;
    let found = inner(input);
    input.state.nesting -= 1;
    found
}

/// One comparison more, or one value more to compare with.
fn count(input: &mut Input<'_>, at: usize) -> Parsed<()> {
    input.state.comparisons += 1;
    if input.state.comparisons <= MAX_COMPARISONS {
        return Ok(());
    }
    let sentence = format!("a rule has at most {MAX_COMPARISONS} comparisons");
    Err(ErrMode::Cut(Fault::says(at, sentence)))
}

fn judge(input: &mut Input<'_>) -> Parsed<Condition> {
    let at = next(input)?;
    keyword("judge").parse_next(input)?;
    count(input, at)?;
    let Some(question) = opt(quoted).parse_next(input)? else {
        return missing(input, "a question in quotes").map_err(ErrMode::cut);
    };
    let text = question.text();
    if text.trim().is_empty() {
        let sentence = "there is nothing to judge in an empty question";
        return Err(ErrMode::Cut(Fault::says(question.at, sentence)));
    }
    Ok(Condition::Judge(text))
}

fn comparison(input: &mut Input<'_>) -> Parsed<Condition> {
    let (at, name) = word("a field")(input)?;
    let is_keyword = |word: &&str| word.eq_ignore_ascii_case(name);
    if ["and", "or", "then", "if", "not"].iter().any(is_keyword) {
        input.state.note(at, "a field");
        return Err(ErrMode::Cut(Fault::unexpected(at)));
    }
    let known = Field::parse(name).filter(|field| input.state.fields.contains(field));
    let Some(field) = known else {
        return Err(ErrMode::Cut(Fault::no_field(at, name, &input.state.fields)));
    };
    let op = operator(input, field)?;
    let values = values(input, at, op)?;
    Ok(Condition::Compare(Comparison::new(
        field,
        op,
        operands(field, op, &values)?,
    )))
}

fn operator(input: &mut Input<'_>, field: Field) -> Parsed<Op> {
    let at = next(input)?;
    let written = take_while(0.., is_operator).parse_next(input)?;
    let kind = field.kind();
    let fault = match Op::parse(written) {
        Some(op) if kind.ops().contains(&op) => return Ok(op),
        Some(_) => {
            let sentence = format!(
                "{field} is a {} field, {written} doesn't fit it",
                kind.name()
            );
            Fault::says(at, sentence).finding(written)
        }
        None if written.is_empty() => Fault::unexpected(at),
        None => Fault::says(at, format!("{} is no operator", shown(written))).finding(written),
    };
    Err(ErrMode::Cut(fault.expecting(kind.ops())))
}

/// One value, or several in parentheses, of the comparison that begins at `start`.
fn values(input: &mut Input<'_>, start: usize, op: Op) -> Parsed<Vec<Literal>> {
    let at = next(input)?;
    if opt(symbol('(')).parse_next(input)?.is_none() {
        input.state.note(at, "(");
        count(input, start)?;
        return Ok(vec![value(input)?]);
    }
    if !matches!(op, Op::Is | Op::IsNot) {
        let sentence = format!("a list goes with = and != only, not with {op}");
        return Err(ErrMode::Cut(Fault::says(at, sentence)));
    }
    let values = separated(1.., cut_err(counted), symbol(',')).parse_next(input)?;
    match opt(symbol(')')).parse_next(input)? {
        Some(()) => Ok(values),
        None => {
            let at = next(input)?;
            input.state.note(at, "a comma");
            missing(input, ")").map_err(ErrMode::cut)
        }
    }
}

fn counted(input: &mut Input<'_>) -> Parsed<Literal> {
    let at = next(input)?;
    count(input, at)?;
    value(input)
}

#[cfg(test)]
mod tests {
    use super::super::parse;

    fn canonical(condition: &str) -> String {
        let text = format!("when * if {condition} then log");
        let rule = parse(&text).unwrap_or_else(|error| panic!("{condition}: {error}"));
        rule.condition
            .map(|condition| condition.to_string())
            .unwrap_or_default()
    }

    /// With the column counted from the condition's first character.
    fn refused(condition: &str) -> (usize, String) {
        let text = format!("when gmail.message.received or hubspot.deal.* if {condition} then log");
        let error = parse(&text).expect_err(condition);
        let message = error
            .message
            .split_once(": ")
            .map(|(_, message)| message.to_owned());
        (error.column - 49, message.unwrap_or_default())
    }

    #[test]
    fn and_binds_more_than_or_and_parentheses_more_than_both() {
        for (written, read) in [
            (
                "own=no or is_reply=yes, size>1",
                "own=no or is_reply=yes and size>1",
            ),
            (
                "(own=no or is_reply=true) and size > 1.50",
                "(own=no or is_reply=yes) and size>1.5",
            ),
            (
                "((own=no) and (size>1 and (size<9)))",
                "own=no and size>1 and size<9",
            ),
            (
                "(own=no, size>1) or (size<9 or size=5)",
                "own=no and size>1 or size<9 or size=5",
            ),
            (
                "not own=no, and not(size>1 or size<-1)",
                "not own=no and not (size>1 or size<-1)",
            ),
            ("not (not (own=no))", "not (not own=no)"),
            ("JUDGE'is it \"urgent\"?'", r#"judge "is it \"urgent\"?""#),
        ] {
            assert_eq!(canonical(written), read);
        }
    }

    #[test]
    fn values_are_read_with_and_without_quotes() {
        for (written, read) in [
            ("from = *@x.com", "from=*@x.com"),
            ("subject!=(a,\"b c\" , 'd')", "subject!=(a, \"b c\", d)"),
            (r#"subject="50\* off*""#, r#"subject="50\* off*""#),
            (r"subject=50\*", r#"subject="50\*""#),
            (r"subject~a\b", r#"subject~"a\\b""#),
            ("subject!~\"“so”\"", "subject!~\"“so”\""),
            ("subject=„so“", "subject=so"),
            ("subject=\"then\"", "subject=\"then\""),
            ("subject=\"end.\"", "subject=\"end.\""),
            ("subject=\"\"", "subject=\"\""),
            ("subject=a=b", "subject=\"a=b\""),
            ("name=Zoë", "name=Zoë"),
            ("amount=(1, +2.0, -0.25)", "amount=(1, 2, -0.25)"),
            ("own=FALSE", "own=no"),
        ] {
            assert_eq!(canonical(written), read);
        }
    }

    #[test]
    fn what_is_wrong_is_said_at_its_place() {
        for (written, column, begins) in [
            (
                "x",
                1,
                "\"x\" is no field; expected one of event, own, from",
            ),
            (
                "subjekt=x",
                1,
                "\"subjekt\" is no field (did you mean subject?)",
            ),
            (
                "own=no and title=x",
                12,
                "no event of this rule has the field \"title\"",
            ),
            (
                "amount>50,000",
                11,
                "\"000\" is no field (a number is written without commas)",
            ),
            (
                "own=no or or",
                11,
                "\"or\" doesn't belong here; expected one of not, (, judge, a field",
            ),
            (
                "own",
                5,
                "\"then\" doesn't belong here; expected one of =, !=",
            ),
            (
                "own<no",
                4,
                "own is a yes/no field, < doesn't fit it; expected one of =, !=",
            ),
            (
                "amount ~ 5",
                8,
                "amount is a number field, ~ doesn't fit it; expected one of =, !=, <, <=, >, >=",
            ),
            (
                "to>=x",
                3,
                "to is a list field, >= doesn't fit it; expected one of =, !=, ~, !~",
            ),
            (
                "subject==x",
                8,
                "\"==\" is no operator; expected one of =, !=, ~, !~",
            ),
            (
                "own=maybe",
                5,
                "own is yes or no, not \"maybe\"; expected one of yes, no, true, false",
            ),
            (
                "amount=5k",
                8,
                "amount is a number, not \"5k\"; expected a decimal number like 2.5",
            ),
            ("amount=1e3", 8, "amount is a number, not \"1e3\""),
            ("amount=NaN", 8, "amount is a number, not \"NaN\""),
            ("amount=(5, .5)", 12, "amount is a number, not \".5\""),
            ("amount=9999999999999999", 8, "this number is too large"),
            (
                "subject=",
                10,
                "\"then\" doesn't belong here; expected one of (, a value",
            ),
            (
                "subject~(a, b)",
                9,
                "a list goes with = and != only, not with ~",
            ),
            (
                "subject=(a, )",
                13,
                "\")\" doesn't belong here; expected a value",
            ),
            (
                "subject=(a b)",
                12,
                "\"b\" doesn't belong here; expected one of a comma, )",
            ),
            (
                "subject=a b",
                11,
                "\"b\" doesn't belong here; expected one of and, or, then",
            ),
            (
                "(own=no",
                9,
                "\"then\" doesn't belong here; expected one of and, or, )",
            ),
            (
                "own=no)",
                7,
                "\")\" doesn't belong here; expected one of and, or, then",
            ),
            (
                "not not own=no",
                5,
                "\"not\" doesn't belong here; expected one of (, judge, a field",
            ),
            (
                "subject=O'Brien",
                10,
                "a quote follows \"O\"; put all of it in quotes",
            ),
            ("subject=\"O", 9, "this quote is never closed; expected \""),
            (
                "subject=‘O",
                9,
                "this quote is never closed; expected one of ’, ‘",
            ),
            (r#"subject="a\b""#, 11, "a backslash in quotes wants one of"),
            (
                "judge urgent",
                7,
                "\"urgent\" doesn't belong here; expected a question in quotes",
            ),
            (
                "judge \" \"",
                7,
                "there is nothing to judge in an empty question",
            ),
        ] {
            let (at, message) = refused(written);
            assert!(message.starts_with(begins), "{written}: {message}");
            assert_eq!(at, column, "{written}: {message}");
        }
    }
}
