//! Bytes to text when nobody says, or somebody says wrongly, what they are.
//!
//! Order: byte order mark, UTF-16 without a mark (seen by its zero bytes), UTF-8, and last
//! windows-1252, which maps every byte to something and is what old mail and spreadsheets mean
//! most often. Never fails, never yields NUL. Knows nothing of formats.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// How far the zero bytes of UTF-16 are looked for.
const LOOK: usize = 512;

/// Decodes text of unknown origin.
pub(super) fn decode(bytes: &[u8]) -> Cow<'_, str> {
    let text = if let Some((encoding, mark)) = Encoding::for_bom(bytes) {
        encoding
            .decode_without_bom_handling(bytes.get(mark..).unwrap_or_default())
            .0
    } else if let Some(encoding) = utf16_without_mark(bytes) {
        encoding.decode_without_bom_handling(bytes).0
    } else if let Ok(text) = str::from_utf8(bytes) {
        Cow::Borrowed(text)
    } else {
        WINDOWS_1252.decode_without_bom_handling(bytes).0
    };
    without_nul(text)
}

/// Decodes text whose sender named a character set. An unknown name, or text that isn't what
/// it claims to be, is decoded as of unknown origin.
pub(super) fn decode_as<'a>(bytes: &'a [u8], label: &str) -> Cow<'a, str> {
    match Encoding::for_label(label.trim().as_bytes()) {
        Some(encoding) => {
            let (text, _, broken) = encoding.decode(bytes);
            if broken {
                decode(bytes)
            } else {
                without_nul(text)
            }
        }
        None => decode(bytes),
    }
}

/// NUL can't be stored, and never means anything in text.
pub(super) fn without_nul(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.contains('\0') {
        Cow::Owned(text.replace('\0', ""))
    } else {
        text
    }
}

/// LF only, whatever the file's line ends were.
pub(super) fn line_feeds(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.contains('\r') {
        Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n"))
    } else {
        text
    }
}

/// UTF-16 of mostly Western text has a zero in nearly every second byte.
fn utf16_without_mark(bytes: &[u8]) -> Option<&'static Encoding> {
    let head = bytes.get(..bytes.len().min(LOOK) & !1)?;
    if head.len() < 8 {
        return None;
    }
    let zeros = |from: usize| {
        head.iter()
            .skip(from)
            .step_by(2)
            .filter(|b| **b == 0)
            .count()
    };
    let (even, odd, half) = (zeros(0), zeros(1), head.len() / 2);
    if odd * 10 > half * 7 && even * 10 < half {
        Some(UTF_16LE)
    } else if even * 10 > half * 7 && odd * 10 < half {
        Some(UTF_16BE)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_and_zero_bytes_tell_utf16() {
        let marked: Vec<u8> = [0xff, 0xfe]
            .into_iter()
            .chain("Grüße".encode_utf16().flat_map(u16::to_le_bytes))
            .collect();
        assert_eq!(decode(&marked), "Grüße");
        let bare: Vec<u8> = "Name,Email"
            .encode_utf16()
            .flat_map(u16::to_be_bytes)
            .collect();
        assert_eq!(decode(&bare), "Name,Email");
    }

    #[test]
    fn what_is_not_utf8_is_western() {
        assert_eq!(decode(b"caf\xe9 \x80 5"), "café € 5");
        assert_eq!(decode("café".as_bytes()), "café");
        assert_eq!(decode(b"\xef\xbb\xbfName"), "Name");
    }

    #[test]
    fn a_wrong_or_unknown_label_is_not_believed() {
        assert_eq!(decode_as(b"caf\xe9", "utf-8"), "café");
        assert_eq!(decode_as(b"caf\xe9", "x-made-up"), "café");
        assert_eq!(decode_as(b"\xcf\xf0\xe8", "windows-1251"), "При");
        assert_eq!(decode_as(b"a\0b", "us-ascii"), "ab");
    }
}
