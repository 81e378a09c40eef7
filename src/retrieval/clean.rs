//! What of a mail its author wrote here and now.
//!
//! Quoted replies, the lines that announce them, signatures, footers of lists, disclaimers and
//! PGP's armour are left out, so that a quoted copy never answers in its original's place.
//! Answers between quotes stay; forwarded mail stays too, since it is the only copy. Where
//! nothing would be left, everything stays.
//! Promises: byte ranges of the given text, sorted, disjoint, on character bounds, without blank
//! ends; linear time. The text itself is never changed: chunks must be word for word. Works on
//! text alone and may not know mails, chunks or the database. Extend it by a fixture first.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

/// More text than a search will ever hold of one mail: what is beyond stays as it is.
const MAX_LOOKED_AT: usize = 2 << 20;
/// A longer "signature" is text after a line of two dashes.
const MAX_SIGNATURE: usize = 30;
/// An announcement ("On … wrote:") is wrapped over at most so many lines.
const MAX_ANNOUNCEMENT: usize = 4;
const MAX_ANNOUNCEMENT_BYTES: usize = 500;

fn pattern(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a valid pattern")
}

/// How announcements begin …
static ANNOUNCES: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^(?:On|Am|Le|El|Il|Op|Den|Em|No dia|W dniu|Dnia|Pe|Dne|Vào|Den|Mon|Tue|Wed|Thu|Fri|Sat|Sun|Il giorno|In (?:data|a message|article)|\d{4}[-/.年]|\d{1,2}[./]\d{1,2}[./]\d{2,4}|[^:<>]{1,80}<[^<>\s]+@[^<>\s]+>)",
    )
});
/// … and end.
static WROTE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)(?:\bwrote|\bwrites|\bschrieb\b.{0,120}|\ba écrit|\bescribió|\bha scritto|\bscrive|\bschreef\b.{0,120}|\bskrev\b.{0,120}|\bescreveu|\bnapisał(?:\(a\)|a)?|\bnapsal(?:\(a\)|a)?|\bnapísal|\ba scris|\bkirjoitti|\bírta|\byazdı|писал\(?а?\)?|написал\(?а?\)?|写道|のメール|さんは書きました)\s*[:：]\s*$",
    )
});
/// "2024-05-01 10:00 GMT+02:00 Alice Smith <alice@example.com>:"
static DATED: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^\d{4}-\d{2}-\d{2} \d{1,2}:\d{2}.{0,120}<\S+@\S+>:\s*$"));
/// The first line of a header block as Outlook puts above what is answered.
static BLOCK_FROM: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"^[*_ ]*(?:From|Von|De|Da|Van|Från|Fra|Od|Kimden|От|发件人|差出人)[*_ ]*\s?[:：]")
});
static BLOCK_MORE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^[*_ ]*(?:Sent|Date|To|Cc|Subject|Reply-To|Importance|Attachments|Gesendet|Datum|An|Betreff|Envoyé|Date d'envoi|À|Objet|Enviado(?: el)?|Fecha|Data|Para|Asunto|Assunto|Inviato|A|Oggetto|Verzonden|Aan|Onderwerp|Skickat|Till|Ämne|Sendt|Til|Emne|Wysłano|Do|Temat|Дата|Кому|Тема|发送时间|收件人|主题|送信日時|宛先|件名)[*_ ]*\s?[:：]",
    )
});
static ORIGINAL: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)^-{2,}\s*(?:original message|original appointment|ursprüngliche nachricht|originalnachricht|message d'origine|message original|mensaje original|mensagem original|messaggio originale|oorspronkelijk bericht|originalmeddelande|reply message|исходное сообщение|原始邮件)\s*-{2,}$",
    )
});
static FORWARDED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)^(?:-{2,}\s*(?:forwarded (?:message|by .{1,80})|weitergeleitete nachricht|message transféré|mensaje reenviado|mensagem encaminhada|messaggio inoltrato|doorgestuurd bericht|vidarebefordrat meddelande|пересылаемое сообщение|转发的邮件)\s*-{2,}|begin forwarded message:|anfang der weitergeleiteten nachricht:|début du message (?:transféré|réexpédié)\s?:|inicio del mensaje reenviado:|inizio messaggio inoltrato:|begin doorgestuurd bericht:)$",
    )
});
static SENT_FROM: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)^(?:(?:sent|envoyé|gesendet|enviado|inviato|verzonden|skickat|sendt) (?:from|via|by|using|depuis|de|à partir de|von|mit|desde|do|da|dal|vanaf|från|fra) .{2,60}|get outlook for (?:ios|android|mac).{0,60}|von meinem .{2,30} gesendet|diese nachricht wurde von meinem .{2,60} gesendet\.?|yahoo mail: .{3,60})$",
    )
});
static DISCLAIMER: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)^[*_ ]*(?:confidentiality (?:notice|note|statement)|legal (?:notice|disclaimer)|disclaimer\s*[:\n]|important notice\s*:|notice of confidentiality|(?:this|the information (?:contained )?in this|the contents? of this) (?:e-?mail|electronic mail|message|communication|transmission)\b.{0,200}?(?:confidential|privileged|intended (?:only|solely)|intended recipient|legally)|if you (?:are not|have received this (?:e-?mail|message|communication) in error)|please consider the environment before printing|diese e-?mail enthält vertrauliche|ce (?:message|courriel)\b.{0,100}confidentiel|este (?:mensaje|correo)\b.{0,100}confidencial)",
    )
});
static LIST_FOOTER: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)mailing list\b|\blistinfo\b|/mailman|\bunsubscribe\b|\blists?\.[a-z0-9.-]+/|groups\.google\.com|to unsubscribe|google groups",
    )
});

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Fresh,
    Quote,
    Signature,
    /// Dropped whatever stands around it.
    Noise,
    Forwarded,
}

struct Line<'a> {
    range: Range<usize>,
    /// Without blanks at both ends.
    text: &'a str,
}

/// The ranges of `text` that its author wrote, in order. Empty only for blank text.
pub fn fresh_segments(text: &str) -> Vec<Range<usize>> {
    let looked_at = text.floor_char_boundary(MAX_LOOKED_AT);
    let lines = lines(text.get(..looked_at).unwrap_or(text));
    let parts = parts(&lines);
    let mut kept = gather(text, &lines, &parts);
    kept.extend(trimmed(text, looked_at..text.len()));
    if kept.is_empty() {
        trimmed(text, 0..text.len()).into_iter().collect()
    } else {
        kept
    }
}

fn lines(text: &str) -> Vec<Line<'_>> {
    let mut lines = Vec::new();
    let mut start = 0;
    for end in memchr::memchr_iter(b'\n', text.as_bytes())
        .map(|at| at + 1)
        .chain(std::iter::once(text.len()))
    {
        if end > start {
            let line = text.get(start..end).unwrap_or_default();
            lines.push(Line {
                range: start..end,
                text: line.trim(),
            });
            start = end;
        }
    }
    lines
}

fn parts(lines: &[Line<'_>]) -> Vec<Part> {
    let mut parts = vec![Part::Fresh; lines.len()];
    // Whether the author has said anything yet: an answer above what it answers.
    let mut said = false;
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        let rest = lines.get(at..).unwrap_or_default();
        let (part, length) = part(line.text, rest, said);
        let length = length.max(1).min(rest.len());
        if let Some(marked) = parts.get_mut(at..at + length) {
            marked.fill(part);
        }
        said |= part == Part::Forwarded || (part == Part::Fresh && !line.text.is_empty());
        at += length;
    }
    parts
}

/// What the first of these lines belongs to, and for how many lines that holds.
fn part(line: &str, rest: &[Line<'_>], said: bool) -> (Part, usize) {
    let Some(first) = line.bytes().next() else {
        return (Part::Fresh, 1);
    };
    match first {
        b'>' => (Part::Quote, 1),
        b'-' if line == "--" || line == "---" && said && is_short_end(rest) => {
            (Part::Signature, signature(rest))
        }
        b'-' if line.starts_with("-----BEGIN PGP ") => pgp(line, rest),
        // A forwarded mail goes to the end, quoted or not: this is its only copy.
        b'-' | b'B' | b'b' | b'A' | b'a' | b'D' | b'd' | b'I' | b'i'
            if FORWARDED.is_match(line) =>
        {
            (Part::Forwarded, rest.len())
        }
        // An answer in Outlook's way: all that follows is older. With nothing above it is a mail
        // that was sent on, and its only copy.
        b'-' if said && ORIGINAL.is_match(line) => (Part::Quote, rest.len()),
        b'-' if ORIGINAL.is_match(line) => (Part::Noise, 1),
        b'_' | b'-' | b'=' | b'*' if is_rule(line) => rule(rest, said),
        _ => words(line, rest, said),
    }
}

fn words(line: &str, rest: &[Line<'_>], said: bool) -> (Part, usize) {
    if let Some(length) = announcement(line, rest) {
        let next = rest.iter().skip(length).find(|line| !line.text.is_empty());
        return match next {
            // The quotes speak for themselves.
            Some(next) if next.text.starts_with('>') => (Part::Quote, length),
            None => (Part::Quote, length),
            // Quoted without marks: to the end.
            Some(_) if said => (Part::Quote, rest.len()),
            Some(_) => (Part::Noise, length),
        };
    }
    if said && is_block(line, rest) {
        return (Part::Quote, rest.len());
    }
    if line.len() < 120 && SENT_FROM.is_match(line) {
        return (Part::Noise, 1);
    }
    if is_disclaimer(line, rest) {
        let length = rest
            .iter()
            .position(|line| line.text.is_empty() || line.text.starts_with('>'))
            .unwrap_or(rest.len());
        return (Part::Noise, length);
    }
    (Part::Fresh, 1)
}

/// "On Monday … wrote:", wrapped or not: how many lines it takes.
fn announcement(line: &str, rest: &[Line<'_>]) -> Option<usize> {
    let plain = line.trim_start_matches(['*', '_']);
    if DATED.is_match(plain) {
        return Some(1);
    }
    if !ANNOUNCES.is_match(plain) {
        // "Alice Smith wrote:", if there is something quoted under it.
        let quoted = rest
            .iter()
            .skip(1)
            .find(|line| !line.text.is_empty())
            .is_some_and(|next| next.text.starts_with('>'));
        return (quoted && line.ends_with([':', '：']) && line.len() < 200 && WROTE.is_match(line))
            .then_some(1);
    }
    let mut joined = String::new();
    for (index, line) in rest.iter().take(MAX_ANNOUNCEMENT).enumerate() {
        if line.text.is_empty() || joined.len() + line.text.len() > MAX_ANNOUNCEMENT_BYTES {
            return None;
        }
        if index > 0 {
            joined.push(' ');
        }
        joined.push_str(line.text);
        if line.text.ends_with([':', '：']) {
            // "On Monday she wrote:" is prose: an announcement has a date or an address.
            let dated = joined.bytes().any(|byte| byte.is_ascii_digit()) || joined.contains('@');
            return (dated && WROTE.is_match(&joined)).then_some(index + 1);
        }
    }
    None
}

/// Three or more header lines, the first of them the author's.
fn is_block(line: &str, rest: &[Line<'_>]) -> bool {
    line.len() < 400
        && BLOCK_FROM.is_match(line)
        && rest
            .iter()
            .skip(1)
            .filter(|line| !line.text.is_empty())
            .take(5)
            .filter(|line| {
                BLOCK_MORE.is_match(
                    line.text
                        .get(..line.text.floor_char_boundary(80))
                        .unwrap_or_default(),
                )
            })
            .count()
            >= 2
}

/// The first four letters of what `DISCLAIMER` matches.
const DISCLAIMER_STARTS: [&str; 13] = [
    "conf", "lega", "disc", "impo", "noti", "this", "the ", "if y", "plea", "dies", "ce m", "ce c",
    "este",
];

fn is_disclaimer(line: &str, rest: &[Line<'_>]) -> bool {
    if line.len() >= 200 {
        return DISCLAIMER.is_match(line.get(..line.floor_char_boundary(400)).unwrap_or(line));
    }
    // Hard-wrapped: the first words must look like it before lines are joined.
    let start: String = line
        .trim_start_matches(['*', '_', ' '])
        .chars()
        .take(4)
        .flat_map(char::to_lowercase)
        .collect();
    if !DISCLAIMER_STARTS.contains(&start.as_str()) {
        return false;
    }
    let mut joined = String::new();
    for line in rest.iter().take(4) {
        if line.text.is_empty() {
            break;
        }
        joined.push_str(
            line.text
                .get(..line.text.floor_char_boundary(200))
                .unwrap_or_default(),
        );
        joined.push(' ');
    }
    DISCLAIMER.is_match(&joined)
}

/// A line of underscores, dashes, equal signs or stars.
fn is_rule(line: &str) -> bool {
    let first = line.as_bytes().first();
    line.len() >= 5 && line.bytes().all(|byte| Some(&byte) == first)
}

/// What a rule announces: Outlook's headers, a list's footer, or nothing.
fn rule(rest: &[Line<'_>], said: bool) -> (Part, usize) {
    let mut next = rest
        .iter()
        .enumerate()
        .skip(1)
        .filter(|(_, line)| !line.text.is_empty());
    let Some((at, line)) = next.next() else {
        return (Part::Noise, 1);
    };
    if is_block(line.text, rest.get(at..).unwrap_or_default()) {
        return if said {
            (Part::Quote, rest.len())
        } else {
            (Part::Noise, 1)
        };
    }
    let footer = std::iter::once((at, line))
        .chain(next.take(5))
        .any(|(_, line)| {
            LIST_FOOTER.is_match(
                line.text
                    .get(..line.text.floor_char_boundary(300))
                    .unwrap_or_default(),
            )
        });
    if footer && is_short_end(rest) {
        (Part::Noise, section_end(rest))
    } else {
        (Part::Fresh, 1)
    }
}

/// Whether little follows before the text, or this section of it, ends.
fn is_short_end(rest: &[Line<'_>]) -> bool {
    section_end(rest) <= 15
}

/// Where what began with the first line ends: at a quote, an announcement, a forwarded mail.
/// Looks no further than a signature may go, so that many rules cost no more than one.
fn section_end(rest: &[Line<'_>]) -> usize {
    rest.iter()
        .take(MAX_SIGNATURE + 2)
        .enumerate()
        .skip(1)
        .find(|(at, line)| {
            let rest = rest.get(*at..).unwrap_or_default();
            match line.text.as_bytes() {
                [] => false,
                [b'>', ..] => true,
                [b'-', ..] => {
                    line.text.len() > 10
                        && (ORIGINAL.is_match(line.text) || FORWARDED.is_match(line.text))
                }
                [.., b':'] if FORWARDED.is_match(line.text) => true,
                _ => announcement(line.text, rest).is_some() || is_block(line.text, rest),
            }
        })
        .map_or_else(|| rest.len().min(MAX_SIGNATURE + 2), |(at, _)| at)
}

fn signature(rest: &[Line<'_>]) -> usize {
    let length = section_end(rest);
    // What is longer isn't a signature: only the dashes go.
    if length > MAX_SIGNATURE { 1 } else { length }
}

/// Armour goes, what is signed stays.
fn pgp(line: &str, rest: &[Line<'_>]) -> (Part, usize) {
    if line.contains("SIGNED MESSAGE") {
        let headers = rest
            .iter()
            .skip(1)
            .take(4)
            .take_while(|line| line.text.starts_with("Hash:") || line.text.starts_with("Charset:"))
            .count();
        return (Part::Noise, 1 + headers);
    }
    let end = rest
        .iter()
        .position(|line| line.text.starts_with("-----END PGP "))
        .map_or(rest.len(), |at| at + 1);
    (Part::Noise, end)
}

fn gather(text: &str, lines: &[Line<'_>], parts: &[Part]) -> Vec<Range<usize>> {
    let mut kept: Vec<Range<usize>> = Vec::new();
    let mut open: Option<Range<usize>> = None;
    for (line, part) in lines.iter().zip(parts) {
        if matches!(part, Part::Fresh | Part::Forwarded) {
            match &mut open {
                Some(range) => range.end = line.range.end,
                None => open = Some(line.range.clone()),
            }
        } else if let Some(range) = open.take() {
            kept.extend(trimmed(text, range));
        }
    }
    if let Some(range) = open {
        kept.extend(trimmed(text, range));
    }
    kept
}

/// Without blank ends; nothing if nothing is left.
fn trimmed(text: &str, range: Range<usize>) -> Option<Range<usize>> {
    let part = text.get(range.clone())?;
    let start = range.start + (part.len() - part.trim_start().len());
    let end = start + part.trim().len();
    (end > start).then_some(start..end)
}
