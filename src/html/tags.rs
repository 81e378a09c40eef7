//! HTML as a flat run of text and tags.
//!
//! Deliberately no tree: trees of hostile HTML cost stack or quadratic time, and text needs
//! none. One pass with `memchr`, linear also where quotes and comments never end. Comments,
//! declarations and the contents of scripts are left out; a style sheet's text is handed on.
//! Text comes as it stands in the file, entities and all. Knows no meaning of any tag but those
//! whose content isn't HTML.

use std::sync::LazyLock;

use memchr::{memchr, memchr3, memmem};
use regex::Regex;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    Text(&'a str),
    Start(Tag<'a>),
    /// The name as written.
    End(&'a str),
    StyleSheet(&'a str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tag<'a> {
    /// As written; compare without regard to case.
    pub(super) name: &'a str,
    pub(super) attributes: &'a str,
}

static ATTRIBUTE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"([^\s"'>/=]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>]+)))?"#)
        .expect("a valid pattern")
});

impl<'a> Tag<'a> {
    pub(super) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// Names and raw values, as written; the value of `hidden` and its like is empty.
    pub(super) fn attributes(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        ATTRIBUTE
            .captures_iter(self.attributes)
            .filter_map(|found| {
                let value = found
                    .get(2)
                    .or_else(|| found.get(3))
                    .or_else(|| found.get(4));
                Some((found.get(1)?.as_str(), value.map_or("", |m| m.as_str())))
            })
    }
}

pub(super) struct Tokens<'a> {
    html: &'a str,
    at: usize,
    /// From here on there is no further `"` or `'`, so an open one is a slip.
    no_quote: [bool; 2],
    /// The raw content after the tag just returned.
    raw: Option<&'a str>,
}

/// Elements whose content is not HTML.
const RAW: [&str; 8] = [
    "script", "style", "title", "textarea", "xmp", "iframe", "noembed", "noframes",
];

pub(super) fn tokens(html: &str) -> Tokens<'_> {
    Tokens {
        html,
        at: 0,
        no_quote: [false; 2],
        raw: None,
    }
}

impl<'a> Tokens<'a> {
    fn rest(&self) -> &'a str {
        self.html.get(self.at..).unwrap_or_default()
    }

    /// The length of the tag at `at` without its `>`.
    fn tag_length(&mut self) -> usize {
        let rest = self.rest().as_bytes();
        let mut from = 0;
        while let Some(found) = rest
            .get(from..)
            .and_then(|rest| memchr3(b'>', b'"', b'\'', rest))
        {
            let end = from + found;
            let quote = match rest.get(end) {
                Some(b'"') => 0,
                Some(b'\'') => 1,
                _ => return end,
            };
            from = end + 1;
            let opens = rest
                .get(..end)
                .unwrap_or_default()
                .iter()
                .rev()
                .find(|byte| !byte.is_ascii_whitespace())
                == Some(&b'=');
            if opens && !self.no_quote[quote] {
                let mark = [b'"', b'\''][quote];
                match rest.get(from..).and_then(|rest| memchr(mark, rest)) {
                    Some(close) => from += close + 1,
                    None => self.no_quote[quote] = true,
                }
            }
        }
        rest.len()
    }

    /// The content up to the element's end tag, and beyond it.
    fn raw_content(&mut self, name: &str) -> &'a str {
        let rest = self.rest();
        let bytes = rest.as_bytes();
        let mut from = 0;
        while let Some(found) = bytes.get(from..).and_then(|rest| memmem::find(rest, b"</")) {
            let start = from + found;
            let end = start + 2 + name.len();
            if bytes
                .get(start + 2..end)
                .is_some_and(|found| found.eq_ignore_ascii_case(name.as_bytes()))
            {
                self.at += start;
                return rest.get(..start).unwrap_or_default();
            }
            from = start + 2;
        }
        self.at = self.html.len();
        rest
    }

    fn markup(&mut self) -> Option<Token<'a>> {
        let rest = self.rest();
        let bytes = rest.as_bytes();
        match bytes.get(1) {
            Some(b'!') if bytes.starts_with(b"<!--") => {
                let end = memmem::find(bytes.get(2..).unwrap_or_default(), b"-->");
                self.at += end.map_or(rest.len(), |end| end + 5);
                None
            }
            Some(b'!' | b'?') => {
                self.at += memchr(b'>', bytes).map_or(rest.len(), |end| end + 1);
                None
            }
            Some(b'/') if bytes.get(2).is_some_and(u8::is_ascii_alphabetic) => {
                let end = self.tag_length();
                self.at += (end + 1).min(rest.len());
                let inner = rest.get(2..end).unwrap_or_default();
                Some(Token::End(split_name(inner).0))
            }
            Some(byte) if byte.is_ascii_alphabetic() => {
                let end = self.tag_length();
                self.at += (end + 1).min(rest.len());
                let (name, attributes) = split_name(rest.get(1..end).unwrap_or_default());
                let tag = Tag { name, attributes };
                if RAW.iter().any(|raw| tag.is(raw)) {
                    let content = self.raw_content(name);
                    if tag.is("style") {
                        self.raw = Some(content);
                    }
                }
                Some(Token::Start(tag))
            }
            _ => {
                self.at += 1;
                Some(Token::Text("<"))
            }
        }
    }
}

fn split_name(inner: &str) -> (&str, &str) {
    let end = inner
        .bytes()
        .position(|byte| byte.is_ascii_whitespace() || byte == b'/')
        .unwrap_or(inner.len());
    inner.split_at_checked(end).unwrap_or((inner, ""))
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        if let Some(sheet) = self.raw.take() {
            return Some(Token::StyleSheet(sheet));
        }
        loop {
            let rest = self.rest();
            match memchr(b'<', rest.as_bytes()) {
                None if rest.is_empty() => return None,
                Some(0) => {
                    if let Some(token) = self.markup() {
                        return Some(token);
                    }
                }
                next => {
                    let end = next.unwrap_or(rest.len());
                    self.at += end;
                    return Some(Token::Text(rest.get(..end).unwrap_or_default()));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(html: &str) -> String {
        tokens(html)
            .map(|token| match token {
                Token::Text(text) => text.to_owned(),
                Token::Start(tag) => format!("[{}]", tag.name),
                Token::End(name) => format!("[/{name}]"),
                Token::StyleSheet(sheet) => format!("{{{sheet}}}"),
            })
            .collect()
    }

    #[test]
    fn quotes_comments_and_raw_text() {
        assert_eq!(flat("a<b title='x>y'>c</b >d"), "a[b]c[/b]d");
        assert_eq!(flat("a<!-- <b> --><!doctype x>b<![endif]>c"), "abc");
        assert_eq!(flat("<style>p{}</style>x"), "[style]{p{}}[/style]x");
        assert_eq!(flat("<script>if(a<b)</script>x"), "[script][/script]x");
        assert_eq!(flat("1 < 2 <3 <é"), "1 < 2 <3 <é");
        assert_eq!(flat("<a href=\"open>x"), "[a]x");
        assert_eq!(flat("<!-- never ends <p>"), "");
        assert_eq!(flat("<p"), "[p]");
        assert_eq!(flat("<a title=it's>x"), "[a]x");
    }

    #[test]
    fn attributes_in_every_spelling() {
        let Some(Token::Start(tag)) = tokens("<p a=1 B='2 3' c = \"4\" hidden/>").next() else {
            panic!("a tag");
        };
        let found: Vec<_> = tag.attributes().collect();
        assert_eq!(
            found,
            [("a", "1"), ("B", "2 3"), ("c", "4"), ("hidden", "")]
        );
    }
}
