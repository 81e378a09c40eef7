//! How characters are read and written: what separates, what quotes, what may stand without quotes.

use std::fmt;

/// The words that may follow a value. As values they want quotes, or `if subject= then log` would
/// be told that `log` is wrong.
const AFTER_VALUES: [&str; 3] = ["and", "or", "then"];

pub(super) fn is_quote(c: char) -> bool {
    closing(c).is_some()
}

/// What ends a quotation that begins with `opening`. Curly quotes end with any of their kind, since
/// languages differ in which of them opens.
pub(super) fn closing(opening: char) -> Option<&'static [char]> {
    match opening {
        '"' => Some(&['"']),
        '\'' => Some(&['\'']),
        '“' | '”' | '„' => Some(&['”', '“']),
        '‘' | '’' | '‚' => Some(&['’', '‘']),
        _ => None,
    }
}

/// What ends a value without quotes.
pub(super) fn ends_value(c: char) -> bool {
    c.is_whitespace() || is_quote(c) || matches!(c, '(' | ')' | ',' | ';')
}

pub(super) fn is_operator(c: char) -> bool {
    matches!(c, '=' | '!' | '~' | '<' | '>')
}

/// What ends a keyword or a name.
pub(super) fn ends_word(c: char) -> bool {
    ends_value(c) || is_operator(c)
}

pub(super) fn is_reserved(value: &str) -> bool {
    AFTER_VALUES
        .iter()
        .any(|word| word.eq_ignore_ascii_case(value))
}

/// A value in its canonical form: bare where nobody can misread it, else quoted.
pub(super) fn write_value(f: &mut fmt::Formatter<'_>, value: &str) -> fmt::Result {
    let plain =
        |c: char| c.is_alphanumeric() || matches!(c, '_' | '@' | '.' | '-' | '+' | '/' | '*');
    // A final "." would be taken for the end of the sentence.
    if !value.is_empty() && value.chars().all(plain) && !value.ends_with('.') && !is_reserved(value)
    {
        return f.write_str(value);
    }
    write_quoted(f, value)
}

pub(super) fn write_quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    write_escaped(f, text)?;
    f.write_str("\"")
}

pub(super) fn write_escaped(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    use fmt::Write as _;
    for c in text.chars() {
        match c {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            _ => f.write_char(c)?,
        }
    }
    Ok(())
}
