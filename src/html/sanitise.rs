//! Foreign HTML made safe to show.
//!
//! An allow-list: text, tables, lists, links; nothing that loads, runs, styles, posts or frames.
//! Links go to `http`, `https` and `mailto` only and tell the target nothing. Pictures become
//! their alternative text. HTML that would cost the parser its stack or quadratic time comes
//! back as its plain text. The page that shows the result still sandboxes it.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use ammonia::{Builder, UrlRelative};
use regex::{Captures, Regex};

use super::page::entities;
use super::tags::{Token, tokens};
use super::text::html_to_text;

/// The limits within which a tree is built. Real mail is far below all of them.
const MAX_HTML: usize = 4 << 20;
const MAX_DEPTH: usize = 256;
const MAX_OPEN_FORMATTING: usize = 128;
const MAX_ATTRIBUTES: usize = 200;

static IMAGE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"(?is)<img\b(?:[^>"']|"[^"]*"|'[^']*')*>"#).expect("a valid pattern")
});
static ALT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"(?is)\salt\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>]+))"#).expect("a valid pattern")
});

static POLICY: LazyLock<Builder<'static>> = LazyLock::new(|| {
    let mut policy = Builder::empty();
    policy
        .tags(HashSet::from([
            "a",
            "abbr",
            "address",
            "b",
            "bdi",
            "bdo",
            "big",
            "blockquote",
            "br",
            "caption",
            "center",
            "cite",
            "code",
            "col",
            "colgroup",
            "dd",
            "del",
            "dfn",
            "div",
            "dl",
            "dt",
            "em",
            "h1",
            "h2",
            "h3",
            "h4",
            "h5",
            "h6",
            "hr",
            "i",
            "ins",
            "kbd",
            "li",
            "mark",
            "ol",
            "p",
            "pre",
            "q",
            "s",
            "samp",
            "small",
            "span",
            "strike",
            "strong",
            "sub",
            "sup",
            "table",
            "tbody",
            "td",
            "tfoot",
            "th",
            "thead",
            "tr",
            "tt",
            "u",
            "ul",
            "var",
            "wbr",
        ]))
        .clean_content_tags(HashSet::from([
            "script", "style", "title", "svg", "math", "iframe", "object", "noscript", "template",
            "textarea", "select", "noframes", "xmp",
        ]))
        .tag_attributes(HashMap::from([
            ("a", HashSet::from(["href", "title"])),
            (
                "td",
                HashSet::from(["colspan", "rowspan", "align", "valign"]),
            ),
            (
                "th",
                HashSet::from(["colspan", "rowspan", "align", "valign", "scope"]),
            ),
            ("ol", HashSet::from(["start", "type"])),
        ]))
        .generic_attributes(HashSet::from(["dir", "lang"]))
        .url_schemes(HashSet::from(["http", "https", "mailto"]))
        .url_relative(UrlRelative::Deny)
        .link_rel(Some("noopener noreferrer nofollow"))
        .strip_comments(true);
    policy
});

/// HTML that may be shown.
pub fn sanitise(html: &str) -> String {
    if html.len() > MAX_HTML || !bearable(html) {
        return as_text(html);
    }
    let html = IMAGE.replace_all(html, |image: &Captures<'_>| {
        let tag = image.get(0).map_or("", |m| m.as_str());
        let alt = ALT
            .captures(tag)
            .and_then(|alt| alt.get(1).or_else(|| alt.get(2)).or_else(|| alt.get(3)))
            .map_or(Cow::Borrowed(""), |alt| entities(alt.as_str()));
        ammonia::clean_text(&alt)
    });
    POLICY.clean(&html).to_string()
}

fn as_text(html: &str) -> String {
    // `clean_text` would encode blanks and line ends, too.
    let text = html_to_text(html)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    format!("<pre>{text}</pre>")
}

/// Whether a tree of this can be built in linear time and with little stack. An upper bound of
/// the depth: an end tag only counts where a browser would take it, and then ends one element
/// alone. Formatting counts by itself, since the parser opens it anew in each block.
fn bearable(html: &str) -> bool {
    let mut open: Vec<&str> = Vec::new();
    // Inside SVG and MathML every element nests, even those that can't in HTML.
    let mut foreign = false;
    let mut formatting = 0_usize;
    for token in tokens(html) {
        match token {
            Token::Start(tag) => {
                if memchr::memchr_iter(b'=', tag.attributes.as_bytes()).count() > MAX_ATTRIBUTES
                    || tag.attributes.split_ascii_whitespace().count() > 20 * MAX_ATTRIBUTES
                {
                    return false;
                }
                foreign |= tag.is("svg") || tag.is("math");
                if is_one(tag.name, &SIBLINGS) && !foreign {
                    continue;
                }
                formatting += usize::from(is_one(tag.name, &FORMATTING));
                open.push(tag.name);
                if open.len() > MAX_DEPTH || formatting > MAX_OPEN_FORMATTING {
                    return false;
                }
            }
            Token::End(name) => {
                let found = open
                    .iter()
                    .rev()
                    .take(8)
                    .position(|one| one.eq_ignore_ascii_case(name) || is_one(one, &FENCES))
                    .map(|above| open.len() - 1 - above)
                    .filter(|at| {
                        open.get(*at)
                            .is_some_and(|one| one.eq_ignore_ascii_case(name))
                    });
                if let Some(at) = found {
                    open.remove(at);
                    formatting = formatting.saturating_sub(is_one(name, &FORMATTING).into());
                }
            }
            Token::Text(_) | Token::StyleSheet(_) => {}
        }
    }
    true
}

fn is_one(name: &str, of: &[&str]) -> bool {
    of.iter().any(|one| name.eq_ignore_ascii_case(one))
}

/// Elements without content, and those that their next sibling ends: they don't nest by
/// themselves.
const SIBLINGS: [&str; 29] = [
    "br", "hr", "img", "input", "meta", "link", "base", "area", "col", "embed", "source", "track",
    "wbr", "param", "p", "li", "td", "th", "tr", "dt", "dd", "option", "tbody", "thead", "tfoot",
    "html", "head", "body", "colgroup",
];
const FORMATTING: [&str; 14] = [
    "a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u",
];
/// End tags inside of these don't end what is outside.
const FENCES: [&str; 10] = [
    "table", "select", "object", "applet", "marquee", "button", "template", "svg", "math",
    "caption",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_loads_runs_or_styles_is_left() {
        for (html, shown) in [
            (
                "<p onclick=x()>Hi <b style='color:red'>you</b></p>",
                "<p>Hi <b>you</b></p>",
            ),
            ("a<script>alert(1)</script>b<style>p{}</style>", "ab"),
            (
                "<img src=http://example.com/t.gif alt='A &amp; B'>x",
                "A &amp; Bx",
            ),
            ("<img src='cid:1'>x", "x"),
            ("<svg><a href=javascript:x>y</a></svg>z", "z"),
            (
                "<a href='javascript:x'>y</a>",
                "<a rel=\"noopener noreferrer nofollow\">y</a>",
            ),
            (
                "<a href='https://example.com/?a=1' target=_blank>y</a>",
                "<a href=\"https://example.com/?a=1\" rel=\"noopener noreferrer nofollow\">y</a>",
            ),
            ("<form action=/x><input name=a>b</form>", "b"),
            ("<base href=//example.com><meta http-equiv=refresh>c", "c"),
            ("<iframe srcdoc='<p>x'></iframe>d", "d"),
            (
                "<table background=x><tr><td colspan=2>1</td></tr></table>",
                "<table><tbody><tr><td colspan=\"2\">1</td></tr></tbody></table>",
            ),
        ] {
            assert_eq!(sanitise(html), shown, "{html}");
        }
    }

    #[test]
    fn what_would_cost_too_much_comes_as_text() {
        for bomb in [
            "<div>".repeat(100_000),
            "<div><table></div></table>".repeat(50_000),
            "<div><select></div></select>".repeat(50_000),
            "<p><font size=1>".repeat(50_000),
            format!("<svg>{}", "<td>".repeat(50_000)),
            format!("<p {}>", "a=1 ".repeat(100_000)),
        ] {
            let start = std::time::Instant::now();
            assert!(sanitise(&format!("{bomb}<b>end")).starts_with("<pre>"));
            assert!(start.elapsed().as_secs() < 5);
        }
    }
}
