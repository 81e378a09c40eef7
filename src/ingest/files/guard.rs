//! What a mail's bytes must not do to the parser behind it.
//!
//! The parser is iterative over multiparts, but drops nested messages recursively and looks for
//! a missing boundary to the end of the mail, each time. So before it runs: parts, boundaries
//! and headers are counted and bounded, and parts that are messages are renamed so that the
//! parser leaves them alone (`mail` parses them itself, to a depth of its own choosing). Linear
//! in the mail's size times the small bound on boundaries. Knows MIME's outline only.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem;
use regex::bytes::Regex;

const MAX_BOUNDARIES: usize = 100;
const MAX_PARTS: usize = 2000;
/// The mail's own headers; what is beyond is cut off.
const MAX_HEADERS: usize = 512 << 10;
const MAX_PART_HEADERS: usize = 64 << 10;
const MAX_ENCODED_WORDS: usize = 10_000;

static BOUNDARY: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"(?i-u)boundary\s*=\s*(?:"([^"\r\n]{1,200})"?|([^\s;"]{1,200}))"#)
        .expect("a valid pattern")
});
/// `multipart/digest` is here since its parts are messages without saying so.
static NESTED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?im-u)^(content-type:\s*)(message/(?:rfc822|global)|multipart/digest)")
        .expect("a valid pattern")
});
/// The name that `NESTED` parts go by afterwards.
pub(super) const NESTED_TYPE: &str = "x-nested";

/// The mail as it may be parsed, or the reason why it may not.
pub(super) fn pass(raw: &[u8]) -> Result<Cow<'_, [u8]>, String> {
    let mut mail = readable_headers(raw);
    let boundaries = boundaries(&mail)?;
    let mut parts = 0;
    for boundary in &boundaries {
        let finder = memmem::Finder::new(boundary);
        for at in finder.find_iter(&mail[..]) {
            parts += 1;
            if parts > MAX_PARTS {
                return Err(format!("It has more than {MAX_PARTS} parts."));
            }
            let rest = mail.get(at..).unwrap_or_default();
            if header_end(rest.get(..MAX_PART_HEADERS.min(rest.len())).unwrap_or(rest)).is_none()
                && rest.len() > MAX_PART_HEADERS
                && colons(rest) > 1000
            {
                return Err("One of its parts has more headers than any mail needs.".to_owned());
            }
        }
    }
    if memmem::find(&mail, b"essage/").is_some() || memmem::find(&mail, b"/digest").is_some() {
        let renamed = NESTED.replace_all(&mail, |found: &regex::bytes::Captures<'_>| {
            let start = found.get(1).map_or(&b""[..], |m| m.as_bytes());
            let kind = found.get(2).map_or(&b""[..], |m| m.as_bytes());
            let other = if kind.len() == b"multipart/digest".len() {
                "multipart/mixed"
            } else {
                NESTED_TYPE
            };
            let mut line = start.to_vec();
            line.extend_from_slice(other.as_bytes());
            if other == NESTED_TYPE {
                line.extend_from_slice(b"/message");
            }
            line
        });
        if let Cow::Owned(renamed) = renamed {
            mail = Cow::Owned(renamed);
        }
    }
    Ok(mail)
}

fn colons(rest: &[u8]) -> usize {
    memchr::memchr_iter(b':', rest.get(..MAX_PART_HEADERS).unwrap_or(rest)).count()
}

/// The `--boundary` lines to look for. Case matters in boundaries, so equal ones count once.
fn boundaries(mail: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    // "boundary" is spelt in lower case nearly always; the slow search is for the rest.
    let mut found: Vec<Vec<u8>> = Vec::new();
    if memmem::find(mail, b"oundary").is_none() && memmem::find(mail, b"OUNDARY").is_none() {
        return Ok(found);
    }
    for captures in BOUNDARY.captures_iter(mail) {
        let Some(value) = captures.get(1).or_else(|| captures.get(2)) else {
            continue;
        };
        let mut line = b"\n--".to_vec();
        line.extend_from_slice(value.as_bytes());
        if !found.contains(&line) {
            found.push(line);
        }
        if found.len() > MAX_BOUNDARIES {
            return Err(format!(
                "Its parts are nested or divided more than {MAX_BOUNDARIES} times."
            ));
        }
    }
    Ok(found)
}

/// Where the headers end and the body begins.
pub(super) fn header_end(mail: &[u8]) -> Option<usize> {
    let lf = memmem::find(mail, b"\n\n").map(|at| at + 2);
    // Only as far as the other one, or each mail would be searched twice.
    let upto = mail.get(..lf.unwrap_or(mail.len())).unwrap_or(mail);
    memmem::find(upto, b"\n\r\n").map(|at| at + 3).or(lf)
}

/// Headers in UTF-8 and of bearable length. Raw bytes in headers are forbidden and common; the
/// parser would lose what isn't UTF-8.
fn readable_headers(raw: &[u8]) -> Cow<'_, [u8]> {
    let end = header_end(raw).unwrap_or(raw.len());
    let (headers, body) = raw.split_at(end);
    let long = headers.len() > MAX_HEADERS;
    let words = memmem::find_iter(headers, b"=?").count();
    if !long && words <= MAX_ENCODED_WORDS && str::from_utf8(headers).is_ok() {
        return Cow::Borrowed(raw);
    }
    let kept = if long {
        let cut = headers.get(..MAX_HEADERS).unwrap_or(headers);
        // Between two addresses at worst, never within one.
        let end = memchr::memrchr2(b'\n', b',', cut).unwrap_or(cut.len());
        cut.get(..end).unwrap_or(cut)
    } else {
        headers
    };
    let mut whole = super::charset::decode(kept).into_owned();
    if words > MAX_ENCODED_WORDS {
        whole = whole.replace("=?", "= ?");
    }
    let mut whole = whole.into_bytes();
    if long {
        whole.extend_from_slice(b"\n\n");
    }
    whole.extend_from_slice(body);
    Cow::Owned(whole)
}
