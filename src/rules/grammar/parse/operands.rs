//! The values of a comparison, read as its field's kind has them.

use winnow::error::ErrMode;

use super::super::condition::Operands;
use super::super::error::{Fault, shown};
use super::super::pattern::{Needle, Pattern};
use super::super::vocabulary::{Field, Kind, Op};
use super::input::{Literal, Parsed};

/// Beyond, floating point has no ones.
const MAX_NUMBER: f64 = 1e15;

pub fn operands(field: Field, op: Op, values: &[Literal]) -> Parsed<Operands> {
    match (field.kind(), op, values) {
        (Kind::Text | Kind::List, Op::Contains | Op::Lacks, [value]) => {
            Ok(Operands::Needle(Needle::new(value.text())))
        }
        (Kind::Text | Kind::List, ..) => {
            Ok(Operands::Patterns(values.iter().map(pattern).collect()))
        }
        (Kind::Flag, ..) => {
            let flags = values.iter().map(|value| flag(field, value));
            Ok(Operands::Flags(flags.collect::<Parsed<_>>()?))
        }
        (Kind::Number, ..) => {
            let numbers = values.iter().map(|value| number(field, value));
            Ok(Operands::Numbers(numbers.collect::<Parsed<_>>()?))
        }
    }
}

fn pattern(value: &Literal) -> Pattern {
    let letters = value.letters.iter();
    Pattern::new(letters.map(|letter| (letter.char, letter.char == '*' && !letter.escaped)))
}

fn flag(field: Field, value: &Literal) -> Parsed<bool> {
    let written = value.text();
    match written.to_ascii_lowercase().as_str() {
        "yes" | "true" => Ok(true),
        "no" | "false" => Ok(false),
        _ => {
            let sentence = format!("{field} is yes or no, not {}", shown(&written));
            let fault = Fault::says(value.at, sentence).finding(&written);
            Err(ErrMode::Cut(
                fault.expecting(&["yes", "no", "true", "false"]),
            ))
        }
    }
}

fn number(field: Field, value: &Literal) -> Parsed<f64> {
    let written = value.text();
    // What Rust reads besides (`1e9`, `inf`, `.5`) is no decimal number to an advisor.
    let digits = written.strip_prefix(['-', '+']).unwrap_or(&written);
    let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
    let fault = match written.parse::<f64>() {
        Ok(number) if is_digits(whole) && is_digits(part) => {
            if number.abs() <= MAX_NUMBER {
                return Ok(number);
            }
            Fault::says(value.at, "this number is too large").finding(&written)
        }
        _ => Fault::says(
            value.at,
            format!("{field} is a number, not {}", shown(&written)),
        )
        .finding(&written)
        .expecting(&["a decimal number like 2.5"]),
    };
    Err(ErrMode::Cut(fault))
}
