//! Which text a reader can't see, by the little of CSS that hides text in mails.
//!
//! Reads inline styles and simple rules of style sheets into `Look`s: shown or not, size,
//! visibility, colours. Conditional rules (`@media` with a condition) don't count: they would
//! hide the desktop half of a mail. Approximate on purpose; it is a filter in front of the model
//! and the search, not a security boundary. Knows no HTML beyond tag, class and id.

use std::collections::HashMap;
use std::sync::LazyLock;

use regex::Regex;

/// Rules beyond this many are ignored: no honest mail has them.
const MAX_RULES: usize = 2000;

/// What one element says about how it looks; `None` is "as its parent".
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Look {
    /// Nothing inside can be seen, whatever it says itself.
    pub(super) gone: bool,
    pub(super) tiny: Option<bool>,
    pub(super) invisible: Option<bool>,
    pub(super) colour: Option<u32>,
    pub(super) ground: Option<Ground>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ground {
    Colour(u32),
    /// A picture or a gradient: nothing can be said.
    Unknown,
}

impl Look {
    /// What `other` says goes before what was said.
    fn apply(&mut self, other: Look) {
        self.gone |= other.gone;
        self.tiny = other.tiny.or(self.tiny);
        self.invisible = other.invisible.or(self.invisible);
        self.colour = other.colour.or(self.colour);
        self.ground = other.ground.or(self.ground);
    }

    /// Declarations such as `display:none; color:#fff`.
    pub(super) fn of(declarations: &str) -> Look {
        let mut look = Look::default();
        let (mut clipped, mut flat, mut aside) = (false, false, false);
        for declaration in declarations.split(';').take(200) {
            let Some((property, value)) = declaration.split_once(':') else {
                continue;
            };
            let value = value.trim().to_ascii_lowercase();
            let value = value.trim_end_matches("!important").trim();
            match property.trim().to_ascii_lowercase().as_str() {
                "display" => look.gone |= value == "none",
                "visibility" => look.invisible = Some(value != "visible" && value != "inherit"),
                "opacity" => look.gone |= value.parse::<f32>().is_ok_and(|part| part < 0.05),
                "font-size" => look.tiny = length(value).map(|size| size < 2.0),
                "color" => look.colour = colour(value),
                "background-color" | "background" | "background-image" => {
                    look.ground = ground(value).or(look.ground);
                }
                "overflow" | "overflow-y" => clipped = value == "hidden",
                "max-height" | "height" | "max-width" | "width" => {
                    flat |= length(value).is_some_and(|size| size < 2.0);
                }
                "position" => aside = value == "absolute" || value == "fixed",
                "text-indent" => look.gone |= length(value).is_some_and(|by| by < -500.0),
                "left" | "top" | "right" => {
                    look.gone |= aside && length(value).is_some_and(|by| by < -500.0);
                }
                _ => {}
            }
        }
        look.gone |= clipped && flat;
        look
    }
}

/// Pixels, more or less; `None` for percentages and words.
fn length(value: &str) -> Option<f32> {
    let unit =
        value.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '+'));
    let number: f32 = value.strip_suffix(unit)?.parse().ok()?;
    match unit {
        "px" | "pt" | "" => Some(number),
        "em" | "rem" | "cm" | "vw" | "vh" => Some(number * 16.0),
        "%" if number == 0.0 => Some(0.0),
        _ => None,
    }
}

fn ground(value: &str) -> Option<Ground> {
    if value.contains("url(") || value.contains("gradient") {
        return Some(Ground::Unknown);
    }
    value
        .split_ascii_whitespace()
        .find_map(colour)
        .or_else(|| colour(value))
        .map(Ground::Colour)
}

pub(super) fn colour(value: &str) -> Option<u32> {
    let value = value.trim();
    if let Some(hex) = value.strip_prefix('#') {
        let number = u32::from_str_radix(hex, 16).ok()?;
        return match hex.len() {
            3 => {
                let (r, g, b) = (number >> 8, (number >> 4) & 15, number & 15);
                Some(((r * 17) << 16) | ((g * 17) << 8) | (b * 17))
            }
            6 => Some(number),
            8 => Some(number >> 8),
            _ => None,
        };
    }
    if let Some(list) = value.strip_prefix("rgb") {
        let parts: Vec<u32> = list
            .trim_start_matches(['a', '('])
            .trim_end_matches(')')
            .split([',', ' ', '/'])
            .filter_map(|part| part.trim().parse().ok())
            .filter(|part| *part < 256)
            .take(3)
            .collect();
        let [r, g, b] = parts[..] else { return None };
        return Some((r << 16) | (g << 8) | b);
    }
    Some(match value {
        "white" => 0xff_ff_ff,
        "black" => 0,
        "red" => 0xff_00_00,
        "green" => 0x00_80_00,
        "blue" => 0x00_00_ff,
        "gray" | "grey" => 0x80_80_80,
        "silver" => 0xc0_c0_c0,
        "yellow" => 0xff_ff_00,
        "whitesmoke" => 0xf5_f5_f5,
        "snow" => 0xff_fa_fa,
        "ivory" => 0xff_ff_f0,
        _ => return None,
    })
}

/// So alike that nobody reads one on the other.
pub(super) fn alike(one: u32, other: u32) -> bool {
    [16, 8, 0]
        .iter()
        .all(|shift| ((one >> shift) & 255).abs_diff((other >> shift) & 255) <= 6)
}

/// The rules of a mail's style sheets that hide something, by simple selector
/// (`div`, `.class`, `#id`, `div.class`).
#[derive(Debug, Default)]
pub(super) struct Rules {
    by_selector: HashMap<String, Look>,
}

static COMMENT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?s)/\*.*?\*/|<!--|-->").expect("a valid pattern"));

impl Rules {
    pub(super) fn is_empty(&self) -> bool {
        self.by_selector.is_empty()
    }

    pub(super) fn add(&mut self, sheet: &str) {
        let sheet = COMMENT.replace_all(sheet, " ");
        let mut rest: &str = &sheet;
        // Depth of blocks, and from which depth on rules are conditional.
        let (mut depth, mut conditional) = (0_usize, None);
        while let Some(at) = rest.find(['{', '}']) {
            let (head, tail) = rest.split_at(at);
            rest = tail.get(1..).unwrap_or_default();
            if tail.starts_with('}') {
                depth = depth.saturating_sub(1);
                if conditional.is_some_and(|from| depth < from) {
                    conditional = None;
                }
                continue;
            }
            let head = head.rsplit(';').next().unwrap_or(head).trim();
            if head.starts_with('@') {
                depth += 1;
                let plain = head.eq_ignore_ascii_case("@media screen")
                    || head.eq_ignore_ascii_case("@media all");
                if !plain && conditional.is_none() {
                    conditional = Some(depth);
                }
                continue;
            }
            let end = rest.find(['{', '}']).unwrap_or(rest.len());
            if conditional.is_none() {
                self.add_rule(head, rest.get(..end).unwrap_or_default());
            }
            depth += 1;
        }
    }

    fn add_rule(&mut self, selectors: &str, declarations: &str) {
        let look = Look::of(declarations);
        if look == Look::default() {
            return;
        }
        for selector in selectors.split(',').take(100) {
            if self.by_selector.len() >= MAX_RULES {
                return;
            }
            let compound = selector
                .trim()
                .rsplit([' ', '>'])
                .next()
                .unwrap_or_default();
            let nested = compound.len() < selector.trim().len();
            // Of a nested selector the last part alone would hide every paragraph there is.
            if compound.is_empty()
                || compound.contains([':', '[', '*', '+', '~'])
                || (nested && !compound.contains(['.', '#']))
            {
                continue;
            }
            self.by_selector
                .entry(compound.to_ascii_lowercase())
                .or_default()
                .apply(look);
        }
    }

    /// What rules and the element's own style say together.
    pub(super) fn look(&self, tag: &str, classes: &str, id: &str, style: &str) -> Look {
        let mut look = Look::default();
        if !self.is_empty() {
            let tag = tag.to_ascii_lowercase();
            let mut of = |selector: &str| {
                if let Some(found) = self.by_selector.get(selector) {
                    look.apply(*found);
                }
            };
            of(&tag);
            for class in classes
                .to_ascii_lowercase()
                .split_ascii_whitespace()
                .take(20)
            {
                of(&format!(".{class}"));
                of(&format!("{tag}.{class}"));
            }
            if !id.is_empty() {
                of(&format!("#{}", id.to_ascii_lowercase()));
            }
        }
        if !style.is_empty() {
            look.apply(Look::of(style));
        }
        look
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hides_and_what_does_not() {
        for gone in [
            "display:none",
            "DISPLAY : none !important",
            "opacity:0",
            "max-height:0;overflow:hidden",
            "position:absolute;left:-9999px",
            "text-indent:-1000px",
        ] {
            assert!(Look::of(gone).gone, "{gone}");
        }
        assert!(!Look::of("display:block;opacity:1;height:0").gone);
        assert_eq!(Look::of("font-size:0px").tiny, Some(true));
        assert_eq!(Look::of("font-size:13px").tiny, Some(false));
        assert_eq!(Look::of("color:#FFF").colour, Some(0xff_ff_ff));
        assert_eq!(
            Look::of("color: rgb(255, 255,255)").colour,
            Some(0xff_ff_ff)
        );
    }

    #[test]
    fn conditional_rules_do_not_count() {
        let mut rules = Rules::default();
        rules.add("/* x */ .a, td.b { display:none } @media (max-width:600px) { .c {display:none} .d{display:none} } .e{visibility:hidden}");
        assert!(rules.look("p", "x a", "", "").gone);
        assert!(rules.look("td", "b", "", "").gone);
        assert!(!rules.look("p", "b", "", "").gone);
        assert!(!rules.look("p", "c d", "", "").gone);
        assert_eq!(rules.look("p", "e", "", "").invisible, Some(true));
    }
}
