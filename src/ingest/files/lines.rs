//! Lines of a stream of any size, with their byte offsets and bounded memory.
//!
//! For the formats whose items are groups of lines (cards, events, rows). A line over its cap is
//! cut there, and what is left of it is skipped: no such line is worth anything. Knows nothing
//! of formats.

use std::io::{self, BufRead, BufReader, Read};

pub(super) struct Lines {
    reader: BufReader<Box<dyn Read + Send>>,
    offset: u64,
    cap: u64,
}

impl Lines {
    pub(super) fn new(reader: Box<dyn Read + Send>, cap: u64) -> Self {
        Self {
            reader: BufReader::with_capacity(256 << 10, reader),
            offset: 0,
            cap,
        }
    }

    /// The byte at which the next line starts.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    pub(super) fn skip_to(&mut self, offset: u64) -> io::Result<()> {
        let ahead = offset.saturating_sub(self.offset);
        self.offset += io::copy(&mut self.reader.by_ref().take(ahead), &mut io::sink())?;
        Ok(())
    }

    /// Appends the next line with its line end to `into`; false at the end.
    pub(super) fn append_next(&mut self, into: &mut Vec<u8>) -> io::Result<bool> {
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
