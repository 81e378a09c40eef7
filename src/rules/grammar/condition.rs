//! What must hold for a rule to act. How it is decided stands in `evaluate.rs`.

use std::cmp::Ordering;
use std::fmt;

use super::evaluate::Value;
use super::lexicon;
use super::pattern::{Needle, Pattern};
use super::vocabulary::{Field, Op};

/// What stands behind `if`.
///
/// As the parser makes them, `All` and `Any` hold at least two, and none of their own kind: so equal
/// conditions are equal whatever parentheses they were written with.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    Compare(Comparison),
    /// A question that a person or a model answers.
    Judge(String),
}

impl Condition {
    /// One condition of several that must all hold.
    pub(super) fn all(parts: Vec<Self>) -> Self {
        Self::joined(parts, Self::All, |part| match part {
            Self::All(inner) => Ok(inner),
            other => Err(other),
        })
    }

    /// One condition of several of which one must hold.
    pub(super) fn any(parts: Vec<Self>) -> Self {
        Self::joined(parts, Self::Any, |part| match part {
            Self::Any(inner) => Ok(inner),
            other => Err(other),
        })
    }

    fn joined(
        parts: Vec<Self>,
        join: fn(Vec<Self>) -> Self,
        open: fn(Self) -> Result<Vec<Self>, Self>,
    ) -> Self {
        let mut flat = Vec::with_capacity(parts.len());
        for part in parts {
            match open(part) {
                Ok(inner) => flat.extend(inner),
                Err(other) => flat.push(other),
            }
        }
        match flat.pop() {
            Some(only) if flat.is_empty() => only,
            last => {
                flat.extend(last);
                join(flat)
            }
        }
    }

    /// The fields that it asks about, repeated where it does.
    pub fn fields(&self) -> Vec<Field> {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().flat_map(Self::fields).collect(),
            Self::Not(inner) => inner.fields(),
            Self::Compare(comparison) => vec![comparison.field()],
            Self::Judge(_) => Vec::new(),
        }
    }
}

/// A field held against values. Made by the parser alone, which sees to it that they fit each other.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    field: Field,
    op: Op,
    operands: Operands,
}

/// What a field is held against, by the kind of its values. Of several, one must fit.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Operands {
    Patterns(Vec<Pattern>),
    Needle(Needle),
    Flags(Vec<bool>),
    Numbers(Vec<f64>),
}

impl Comparison {
    pub(super) const fn new(field: Field, op: Op, operands: Operands) -> Self {
        Self {
            field,
            op,
            operands,
        }
    }

    pub const fn field(&self) -> Field {
        self.field
    }

    pub const fn op(&self) -> Op {
        self.op
    }

    /// A value of another kind than the field's doesn't fit, whatever the operator.
    pub(super) fn holds(&self, value: &Value) -> bool {
        let fits = match (&self.operands, value) {
            (Operands::Patterns(patterns), Value::Text(text)) => {
                patterns.iter().any(|pattern| pattern.matches(text))
            }
            (Operands::Patterns(patterns), Value::List(texts)) => patterns
                .iter()
                .any(|pattern| texts.iter().any(|text| pattern.matches(text))),
            (Operands::Needle(needle), Value::Text(text)) => needle.is_in(text),
            (Operands::Needle(needle), Value::List(texts)) => {
                texts.iter().any(|text| needle.is_in(text))
            }
            (Operands::Flags(flags), Value::Flag(flag)) => flags.contains(flag),
            (Operands::Numbers(numbers), Value::Number(number)) if !number.is_nan() => {
                let mut orders = numbers.iter().filter_map(|other| number.partial_cmp(other));
                orders.any(|order| self.op.fits(order))
            }
            _ => return false,
        };
        fits != matches!(self.op, Op::IsNot | Op::Lacks)
    }
}

impl Op {
    /// Whether a number of this order to the other is what is asked, or with `!=` what is ruled out.
    const fn fits(self, order: Ordering) -> bool {
        match self {
            Self::Is | Self::IsNot => order.is_eq(),
            Self::Less => order.is_lt(),
            Self::AtMost => order.is_le(),
            Self::More => order.is_gt(),
            Self::AtLeast => order.is_ge(),
            Self::Contains | Self::Lacks => false,
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All(parts) => {
                for (n, part) in parts.iter().enumerate() {
                    if n > 0 {
                        f.write_str(" and ")?;
                    }
                    match part {
                        Self::Any(_) => write!(f, "({part})")?,
                        _ => part.fmt(f)?,
                    }
                }
                Ok(())
            }
            Self::Any(parts) => {
                for (n, part) in parts.iter().enumerate() {
                    if n > 0 {
                        f.write_str(" or ")?;
                    }
                    part.fmt(f)?;
                }
                Ok(())
            }
            Self::Not(inner) => match **inner {
                Self::Compare(_) | Self::Judge(_) => write!(f, "not {inner}"),
                _ => write!(f, "not ({inner})"),
            },
            Self::Compare(comparison) => comparison.fmt(f),
            Self::Judge(question) => {
                f.write_str("judge ")?;
                lexicon::write_quoted(f, question)
            }
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.field, self.op)?;
        let yes_no = |flag: &bool| if *flag { "yes" } else { "no" };
        match &self.operands {
            Operands::Patterns(patterns) => write_any(f, patterns),
            Operands::Needle(needle) => needle.fmt(f),
            Operands::Flags(flags) => write_any(f, &flags.iter().map(yes_no).collect::<Vec<_>>()),
            Operands::Numbers(numbers) => write_any(f, numbers),
        }
    }
}

fn write_any(f: &mut fmt::Formatter<'_>, values: &[impl fmt::Display]) -> fmt::Result {
    if let [only] = values {
        return only.fmt(f);
    }
    f.write_str("(")?;
    for (n, value) in values.iter().enumerate() {
        if n > 0 {
            f.write_str(", ")?;
        }
        value.fmt(f)?;
    }
    f.write_str(")")
}
