//! Lines of a stream of any size, with their byte offsets and bounded memory.
//!
//! For the formats whose items are groups of lines (cards, events, rows). A line over its cap is
//! cut there, and what is left of it is skipped: no such line is worth anything. Lines of a file
//! whose mark says UTF-16 come as UTF-8, since what a line is shows only in units of two bytes;
//! offsets stay those of the file. Knows nothing of formats.

use std::io::{self, BufRead, BufReader, Read};

use encoding_rs::{Encoding, UTF_16BE, UTF_16LE};

pub(super) struct Lines {
    reader: BufReader<Box<dyn Read + Send>>,
    offset: u64,
    cap: u64,
    /// UTF-16 of either order, by the file's mark; known once something was read.
    wide: Option<&'static Encoding>,
}

impl Lines {
    pub(super) fn new(reader: Box<dyn Read + Send>, cap: u64) -> Self {
        Self {
            reader: BufReader::with_capacity(256 << 10, reader),
            offset: 0,
            cap,
            wide: None,
        }
    }

    /// The byte at which the next line starts.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    pub(super) fn skip_to(&mut self, offset: u64) -> io::Result<()> {
        self.look_for_mark()?;
        let ahead = offset.saturating_sub(self.offset);
        self.offset += io::copy(&mut self.reader.by_ref().take(ahead), &mut io::sink())?;
        Ok(())
    }

    /// Appends the next line with its line end to `into`; false at the end.
    pub(super) fn append_next(&mut self, into: &mut Vec<u8>) -> io::Result<bool> {
        self.look_for_mark()?;
        if let Some(encoding) = self.wide {
            return self.append_wide(encoding, into);
        }
        let read = self
            .reader
            .by_ref()
            .take(self.cap)
            .read_until(b'\n', into)? as u64;
        self.offset += read;
        if read == self.cap && into.last() != Some(&b'\n') {
            self.offset += self.reader.skip_until(b'\n')? as u64;
            into.push(b'\n');
        }
        Ok(read > 0)
    }

    fn look_for_mark(&mut self) -> io::Result<()> {
        if self.offset == 0 {
            self.wide = Encoding::for_bom(self.reader.fill_buf()?)
                .map(|(encoding, _)| encoding)
                .filter(|encoding| [UTF_16LE, UTF_16BE].contains(encoding));
        }
        Ok(())
    }

    fn append_wide(&mut self, encoding: &'static Encoding, into: &mut Vec<u8>) -> io::Result<bool> {
        let end = if encoding == UTF_16LE {
            *b"\n\0"
        } else {
            *b"\0\n"
        };
        let from = self.offset;
        let (mut line, mut unit) = (Vec::new(), Vec::with_capacity(2));
        loop {
            unit.clear();
            self.offset += self.reader.by_ref().take(2).read_to_end(&mut unit)? as u64;
            // Half a unit ends the file, and is nothing.
            if unit.len() < 2 {
                break;
            }
            if (line.len() as u64) < self.cap || unit == end {
                line.extend_from_slice(&unit);
            }
            if unit == end {
                break;
            }
        }
        into.extend_from_slice(encoding.decode_with_bom_removal(&line).0.as_bytes());
        Ok(self.offset > from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_over_the_cap_is_cut_and_offsets_stay_true() {
        let data = b"short\nmuch too long a line\nend".to_vec();
        let mut lines = Lines::new(Box::new(io::Cursor::new(data)), 8);
        let mut seen = Vec::new();
        loop {
            let at = lines.offset();
            let mut line = Vec::new();
            if !lines.append_next(&mut line).expect("memory") {
                break;
            }
            seen.push((at, String::from_utf8(line).expect("ascii")));
        }
        assert_eq!(
            seen,
            [
                (0, "short\n".into()),
                (6, "much too\n".into()),
                (27, "end".into())
            ]
        );
    }
}
