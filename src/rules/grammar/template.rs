//! Texts in which `{field}` stands for what the event has there.

use std::fmt;

use super::error::Fault;
use super::vocabulary::Field;

/// A text with placeholders; `{{` and `}}` stand for braces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Field(Field),
}

impl Template {
    /// From characters and their places in the rule. `known` are the fields that the rule's events have.
    pub(super) fn read(chars: &[(usize, char)], known: &[Field]) -> Result<Self, Fault> {
        let mut template = Self::default();
        let mut rest = chars;
        loop {
            rest = match *rest {
                [] => return Ok(template),
                [(_, '{'), (_, '{'), ref rest @ ..] => {
                    template.push('{');
                    rest
                }
                [(_, '}'), (_, '}'), ref rest @ ..] => {
                    template.push('}');
                    rest
                }
                [(at, '{'), ref inside @ ..] => {
                    let Some(end) = inside.iter().position(|(_, c)| *c == '}') else {
                        let unclosed = "this { is never closed; write {{ for a brace";
                        return Err(Fault::says(at, unclosed));
                    };
                    let (name, rest) = inside.split_at(end);
                    template.pieces.push(Piece::Field(field(at, name, known)?));
                    rest.get(1..).unwrap_or_default()
                }
                [(at, '}'), ..] => {
                    return Err(Fault::says(
                        at,
                        "this } closes nothing; write }} for a brace",
                    ));
                }
                [(_, c), ref rest @ ..] => {
                    template.push(c);
                    rest
                }
            };
        }
    }

    fn push(&mut self, c: char) {
        match self.pieces.last_mut() {
            Some(Piece::Text(text)) => text.push(c),
            _ => self.pieces.push(Piece::Text(c.to_string())),
        }
    }

    /// The fields that it mentions, in order, repeated where the text repeats them.
    pub fn fields(&self) -> impl Iterator<Item = Field> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Field(field) => Some(*field),
            Piece::Text(_) => None,
        })
    }

    /// The text with what `value` has for each placeholder; nothing stands where it has nothing.
    pub fn render(&self, value: impl Fn(Field) -> Option<String>) -> String {
        let mut out = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Field(field) => out.push_str(&value(*field).unwrap_or_default()),
            }
        }
        out
    }

    /// Whether nothing will ever be seen of it.
    pub(super) fn is_blank(&self) -> bool {
        let blank = |piece: &Piece| matches!(piece, Piece::Text(text) if text.trim().is_empty());
        self.pieces.iter().all(blank)
    }
}

/// The field that a placeholder names; an error stands at the name.
fn field(brace: usize, name: &[(usize, char)], known: &[Field]) -> Result<Field, Fault> {
    let written: String = name.iter().map(|(_, c)| c).collect();
    let word = written.trim();
    let at = name.iter().find(|(_, c)| !c.is_whitespace());
    let at = at.map_or(brace, |(at, _)| *at);
    let field = Field::parse(word).filter(|field| known.contains(field));
    field.ok_or_else(|| Fault::no_field(at, word, known))
}

impl fmt::Display for Template {
    /// As in a rule, but without quotes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => {
                    f.write_str(&text.replace('{', "{{").replace('}', "}}"))?;
                }
                Piece::Field(field) => write!(f, "{{{field}}}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [Field; 2] = [Field::Subject, Field::From];

    fn read(text: &str) -> Result<Template, Fault> {
        let chars: Vec<_> = text.char_indices().collect();
        Template::read(&chars, &KNOWN)
    }

    #[test]
    fn placeholders_are_filled_and_braces_kept() {
        let template = read("{{a}} {subject}, { FROM }: {subject}{{").expect("a template");
        let value = |field| (field == Field::Subject).then(|| "Fees {from}".to_owned());
        assert_eq!(template.render(value), "{a} Fees {from}, : Fees {from}{");
        assert_eq!(template.fields().count(), 3);
        assert_eq!(template.to_string(), "{{a}} {subject}, {from}: {subject}{{");
    }

    #[test]
    fn what_is_wrong_is_found_at_its_place() {
        for (text, at, begins) in [
            (
                "a {body}",
                3,
                "no event of this rule has the field \"body\"",
            ),
            ("a { subjekt }", 4, "\"subjekt\" is no field"),
            ("{}", 0, "\"\" is no field"),
            ("{ }", 0, "\"\" is no field"),
            ("a {subject", 2, "this { is never closed"),
            ("a } b", 2, "this } closes nothing"),
        ] {
            let fault = read(text).expect_err(text);
            assert_eq!(fault.at, at, "{text}");
            let error = fault.located("", &[]).message;
            assert!(error.contains(begins), "{error}");
        }
    }
}
