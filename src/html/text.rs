//! HTML to the text that a reader sees.
//!
//! Paragraphs and lists keep their lines, cells of a row are set apart by " | ", quoted replies
//! (`blockquote`) get `> `, links are their words alone. Left out: scripts, styles, comments,
//! the head, and what is hidden (see `style`). One pass without a tree: time is linear and the
//! stack isn't used, however deeply anything is nested. The result has LF only and no NUL.
//! Knows nothing of mail.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

use super::page::{Page, entities};
use super::style::{Ground, Look, Rules, alike, colour};
use super::tags::{Tag, Token, tokens};

/// Beyond this, elements are read as if they weren't nested.
const MAX_DEPTH: usize = 20_000;
/// How far up the stack an end tag looks for its start.
const MAX_SEARCH: usize = 400;
/// More HTML than this is cut: it isn't text any more.
const MAX_HTML: usize = 16 << 20;

/// What a tag does to the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Inline,
    /// A line of its own.
    Block,
    /// With a blank line around it.
    Paragraph,
    Quote,
    Pre,
    List,
    Item,
    Table,
    Row,
    Cell,
    /// Never seen.
    Gone,
    /// Has no content: no frame.
    Void,
}

fn role(tag: &str) -> Role {
    // Names are short: lower-cased on the stack, without an allocation per tag.
    let mut lower = [0_u8; 12];
    let Some(name) = lower.get_mut(..tag.len()) else {
        return Role::Inline;
    };
    name.copy_from_slice(tag.as_bytes());
    name.make_ascii_lowercase();
    match &*name {
        b"p" | b"h1" | b"h2" | b"h3" | b"h4" | b"h5" | b"h6" | b"dl" | b"fieldset" | b"figure" => {
            Role::Paragraph
        }
        b"div" | b"section" | b"article" | b"header" | b"footer" | b"main" | b"nav" | b"aside"
        | b"address" | b"center" | b"form" | b"dt" | b"dd" | b"caption" | b"figcaption"
        | b"details" | b"summary" | b"option" | b"legend" | b"body" | b"html" => Role::Block,
        b"blockquote" => Role::Quote,
        b"pre" | b"listing" | b"plaintext" => Role::Pre,
        b"ul" | b"ol" | b"menu" | b"dir" => Role::List,
        b"li" => Role::Item,
        b"table" => Role::Table,
        b"tr" | b"thead" | b"tbody" | b"tfoot" => Role::Row,
        b"td" | b"th" => Role::Cell,
        b"head" | b"script" | b"style" | b"title" | b"template" | b"svg" | b"math" | b"object"
        | b"textarea" | b"iframe" | b"noembed" | b"noframes" | b"audio" | b"video" | b"canvas"
        | b"select" => Role::Gone,
        b"br" | b"hr" | b"img" | b"input" | b"meta" | b"link" | b"base" | b"area" | b"col"
        | b"embed" | b"source" | b"track" | b"wbr" | b"param" | b"bgsound" | b"basefont" => {
            Role::Void
        }
        _ => Role::Inline,
    }
}

/// The visible text of an HTML document or mail.
pub fn html_to_text(html: &str) -> String {
    let html = html
        .get(..html.floor_char_boundary(MAX_HTML))
        .unwrap_or(html);
    let mut reader = Reader::default();
    for token in tokens(html) {
        match token {
            Token::Text(text) => reader.text(text),
            Token::Start(tag) => reader.start(tag),
            Token::End(name) => reader.end(name),
            Token::StyleSheet(sheet) => reader.rules.add(sheet),
        }
    }
    reader.page.finish()
}

struct Frame<'a> {
    name: &'a str,
    role: Role,
    seen: Seen,
    /// Of a numbered list: the last item's number.
    number: Option<u32>,
}

/// What holds for text at a place, with all that its ancestors say.
#[derive(Clone, Copy)]
struct Seen {
    gone: bool,
    tiny: bool,
    invisible: bool,
    colour: u32,
    ground: Option<u32>,
}

impl Seen {
    const PAGE: Seen = Seen {
        gone: false,
        tiny: false,
        invisible: false,
        colour: 0,
        ground: Some(0xff_ff_ff),
    };

    fn within(self, look: Look) -> Seen {
        Seen {
            gone: self.gone || look.gone,
            tiny: look.tiny.unwrap_or(self.tiny),
            invisible: look.invisible.unwrap_or(self.invisible),
            colour: look.colour.unwrap_or(self.colour),
            ground: match look.ground {
                Some(Ground::Colour(colour)) => Some(colour),
                Some(Ground::Unknown) => None,
                None => self.ground,
            },
        }
    }

    fn hidden(self) -> bool {
        self.gone
            || self.tiny
            || self.invisible
            || self.ground.is_some_and(|ground| alike(ground, self.colour))
    }
}

#[derive(Default)]
struct Reader<'a> {
    stack: Vec<Frame<'a>>,
    rules: Rules,
    page: Page,
}

impl<'a> Reader<'a> {
    fn seen(&self) -> Seen {
        self.stack.last().map_or(Seen::PAGE, |frame| frame.seen)
    }

    fn text(&mut self, text: &str) {
        if !self.seen().hidden() {
            self.page.text(&entities(text));
        }
    }

    fn start(&mut self, tag: Tag<'a>) {
        let role = role(tag.name);
        self.close_implied(role);
        let look = self.look(tag);
        let seen = self.seen().within(look);
        if role == Role::Void {
            self.void(tag, seen);
            return;
        }
        let mut number = None;
        if !seen.gone {
            match role {
                Role::Block | Role::Row => self.page.lines(1),
                Role::Paragraph | Role::List | Role::Table | Role::Quote | Role::Pre => {
                    self.page.lines(if self.in_list() { 1 } else { 2 });
                }
                Role::Item => self.item(),
                Role::Cell => self.page.cell(),
                Role::Inline | Role::Gone | Role::Void => {}
            }
            match role {
                Role::Quote => self.page.quotes += 1,
                Role::Pre => self.page.preformatted += 1,
                Role::List if tag.is("ol") => number = Some(0),
                _ => {}
            }
        }
        if self.stack.len() < MAX_DEPTH {
            self.stack.push(Frame {
                name: tag.name,
                role,
                seen,
                number,
            });
        }
    }

    fn look(&self, tag: Tag<'a>) -> Look {
        let mut look = Look::default();
        let attributes = tag.attributes;
        let (mut class, mut id, mut style) = ("", "", Cow::Borrowed(""));
        let telling =
            !attributes.is_empty() && (!self.rules.is_empty() || TELLING.is_match(attributes));
        if telling {
            for (name, value) in tag.attributes().take(100) {
                match name.len() {
                    2 if name.eq_ignore_ascii_case("id") => id = value,
                    5 if name.eq_ignore_ascii_case("class") => class = value,
                    5 if name.eq_ignore_ascii_case("style") => style = entities(value),
                    5 if name.eq_ignore_ascii_case("color") => {
                        look.colour = colour(&value.to_ascii_lowercase());
                    }
                    6 if name.eq_ignore_ascii_case("hidden") => look.gone = true,
                    7 if name.eq_ignore_ascii_case("bgcolor") => {
                        look.ground = colour(&value.to_ascii_lowercase()).map(Ground::Colour);
                    }
                    10 if name.eq_ignore_ascii_case("background") => {
                        look.ground = Some(Ground::Unknown);
                    }
                    _ => {}
                }
            }
        }
        if !style.is_empty() || !self.rules.is_empty() {
            let styled = self.rules.look(tag.name, class, id, &style);
            look = Look {
                gone: look.gone || styled.gone,
                colour: styled.colour.or(look.colour),
                ground: styled.ground.or(look.ground),
                ..styled
            };
        }
        look.gone |= role(tag.name) == Role::Gone;
        look
    }

    fn void(&mut self, tag: Tag<'a>, seen: Seen) {
        if seen.hidden() {
            return;
        }
        if tag.is("br") {
            self.page.line_break();
        } else if tag.is("hr") {
            self.page.lines(2);
        } else if tag.is("img")
            && let Some((_, alt)) = tag
                .attributes()
                .find(|(name, _)| name.eq_ignore_ascii_case("alt"))
        {
            self.page.text(&entities(alt));
        }
    }

    fn in_list(&self) -> bool {
        self.stack
            .iter()
            .rev()
            .take(8)
            .any(|frame| frame.role == Role::Item)
    }

    fn item(&mut self) {
        self.page.lines(1);
        let number = self
            .stack
            .iter_mut()
            .rev()
            .take(8)
            .find(|frame| frame.role == Role::List)
            .and_then(|list| list.number.as_mut());
        let mark = match number {
            Some(number) => {
                *number += 1;
                Cow::Owned(format!("{number}. "))
            }
            None => Cow::Borrowed("- "),
        };
        self.page.mark = Some(mark);
    }

    /// Elements that may go without an end tag end where the next of their kind begins.
    fn close_implied(&mut self, role: Role) {
        let (ends, fence): (&[Role], Role) = match role {
            Role::Item => (&[Role::Item], Role::List),
            Role::Cell => (&[Role::Cell], Role::Table),
            Role::Row => (&[Role::Row, Role::Cell], Role::Table),
            Role::Inline | Role::Void | Role::Gone => return,
            _ => {
                if self
                    .stack
                    .last()
                    .is_some_and(|top| top.name.eq_ignore_ascii_case("p"))
                {
                    self.pop();
                }
                return;
            }
        };
        let found = self
            .stack
            .iter()
            .rev()
            .take(MAX_SEARCH)
            .take_while(|frame| frame.role != fence)
            .position(|frame| {
                ends.contains(&frame.role) && !frame.name.to_ascii_lowercase().starts_with("tb")
            });
        if let Some(depth) = found {
            for _ in 0..=depth {
                self.pop();
            }
        }
    }

    fn end(&mut self, name: &str) {
        let role = role(name);
        if role == Role::Void {
            if name.eq_ignore_ascii_case("br") && !self.seen().hidden() {
                self.page.line_break();
            }
            return;
        }
        // A stray `</div>` inside a cell doesn't close the table around it.
        let fenced = !matches!(role, Role::Table | Role::Row | Role::Cell);
        let found = self
            .stack
            .iter()
            .rev()
            .take(MAX_SEARCH)
            .take_while(|frame| !fenced || !matches!(frame.role, Role::Cell | Role::Table))
            .position(|frame| frame.name.eq_ignore_ascii_case(name));
        if let Some(depth) = found {
            for _ in 0..=depth {
                self.pop();
            }
        }
    }

    fn pop(&mut self) {
        let Some(frame) = self.stack.pop() else {
            return;
        };
        if frame.seen.gone {
            return;
        }
        match frame.role {
            Role::Quote => {
                self.page.quotes = self.page.quotes.saturating_sub(1);
                self.page.lines(2);
            }
            Role::Pre => {
                self.page.preformatted = self.page.preformatted.saturating_sub(1);
                self.page.lines(2);
            }
            Role::Paragraph | Role::Table | Role::List => {
                let lines = if self.in_list() { 1 } else { 2 };
                self.page.lines(lines);
            }
            Role::Block | Role::Item | Role::Row => self.page.lines(1),
            Role::Inline | Role::Cell | Role::Gone | Role::Void => {}
        }
    }
}

/// Attributes that may hide something; of the others there is no need to know.
static TELLING: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?i)style|hidden|color|background").expect("a valid pattern"));
