//! Contacts in a spreadsheet, as Google, Outlook, `HubSpot` and people write them.
//!
//! The first line names the columns, in any order; the delimiter (`,` `;` tab) is what divides
//! that line best. Records are cut out of the stream by their quotes, each with a cap, and a
//! quote that is never closed costs its own line, not the rest of the file. Columns without a
//! meaning are kept under their names. The charset is guessed for each record, as old exports
//! mix them. Knows columns, not what becomes of a contact.

use std::collections::VecDeque;
use std::io::{self, Read};

use super::{
    charset,
    columns::{self, Column},
    item::{Item, Located, Position, Resume, Unit},
    lines::Lines,
};

/// A record, with notes of many lines.
const MAX_RECORD: usize = 256 << 10;
const MAX_COLUMNS: usize = 500;

pub(super) struct Rows {
    lines: Lines,
    start: Resume,
    /// Rows as a spreadsheet numbers them: the columns' names are the first, blank ones count.
    count: u64,
    columns: Option<Columns>,
    failed: bool,
    /// Lines read in search of a closing quote that isn't there, with where each one ends.
    again: VecDeque<(Vec<u8>, u64)>,
    at: u64,
}

struct Columns {
    delimiter: u8,
    columns: Vec<(Column, String)>,
}

impl Rows {
    pub(super) fn new(reader: Box<dyn Read + Send>, start: Resume) -> Self {
        Self {
            lines: Lines::new(reader, MAX_RECORD as u64),
            start,
            count: 0,
            columns: None,
            failed: false,
            again: VecDeque::new(),
            at: 0,
        }
    }

    fn next_line(&mut self, into: &mut Vec<u8>) -> io::Result<bool> {
        if let Some((line, end)) = self.again.pop_front() {
            into.extend_from_slice(&line);
            self.at = end;
            return Ok(true);
        }
        let read = self.lines.append_next(into)?;
        self.at = self.lines.offset();
        Ok(read)
    }

    /// The next record that isn't blank: where it starts and its bytes.
    fn next_record(&mut self) -> io::Result<Option<(u64, Vec<u8>)>> {
        loop {
            let start = self.at;
            let mut record = Vec::new();
            // Where each line of the record ends, in the record and in the file.
            let mut ends = Vec::new();
            let mut quotes = 0;
            loop {
                let from = record.len();
                if !self.next_line(&mut record)? {
                    break;
                }
                quotes += memchr::memchr_iter(b'"', record.get(from..).unwrap_or_default()).count();
                ends.push((record.len(), self.at));
                if quotes % 2 == 0 || record.len() > MAX_RECORD {
                    break;
                }
            }
            let Some((first, end)) = ends.first().copied() else {
                return Ok(None);
            };
            if quotes % 2 == 1 && ends.len() > 1 {
                // Never closed: the line stands for itself, the others are read anew.
                for pair in ends.windows(2).rev() {
                    if let [(from, _), (to, at)] = *pair {
                        let line = record.get(from..to).unwrap_or_default().to_vec();
                        self.again.push_front((line, at));
                    }
                }
                record.truncate(first);
                self.at = end;
            }
            self.count += 1;
            if !record.trim_ascii().is_empty() {
                return Ok(Some((start, record)));
            }
        }
    }

    fn open(&mut self) -> io::Result<Result<(), String>> {
        let Some((_, header)) = self.next_record()? else {
            return Ok(Err("The file is empty.".to_owned()));
        };
        let text = charset::decode(&header);
        let mut text = text.trim_start_matches('\u{feff}');
        // Excel writes the delimiter into a line of its own.
        let mut given = None;
        let second;
        if let Some(mark) = text.trim_end().strip_prefix("sep=") {
            given = mark.bytes().next();
            let Some((_, header)) = self.next_record()? else {
                return Ok(Err(
                    "The file has no line with the columns' names.".to_owned()
                ));
            };
            second = charset::decode(&header).into_owned();
            text = &second;
        }
        let delimiter = given.unwrap_or_else(|| delimiter(text));
        let columns = columns::columns(fields(text, delimiter).into_iter().take(MAX_COLUMNS));
        let known = columns.iter().any(|(column, _)| {
            matches!(
                column,
                Column::Name | Column::First | Column::Last | Column::Email | Column::Phone
            )
        });
        if !known {
            return Ok(Err(
                "The first line names no column that holds a name, an e-mail address or a telephone number."
                    .to_owned(),
            ));
        }
        self.columns = Some(Columns { delimiter, columns });
        if self.start.offset > self.at {
            self.again.clear();
            self.lines.skip_to(self.start.offset)?;
            self.count = self.start.items;
            self.at = self.lines.offset();
        }
        Ok(Ok(()))
    }
}

impl Iterator for Rows {
    type Item = io::Result<Located>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        if self.columns.is_none() {
            match self.open() {
                Ok(Ok(())) => {}
                Ok(Err(reason)) => {
                    self.failed = true;
                    if self.start.offset > 0 {
                        return None;
                    }
                    let position = Position::first(Unit::Row);
                    return Some(Ok(Located::new(position, self.at.max(1), Err(reason))));
                }
                Err(error) => return Some(Err(error)),
            }
        }
        let (offset, record) = match self.next_record() {
            Ok(found) => found?,
            Err(error) => return Some(Err(error)),
        };
        let position = Position {
            unit: Unit::Row,
            ordinal: self.count,
            offset,
        };
        let columns = self.columns.as_ref()?;
        let text = charset::decode(&record);
        let item = columns::contact(&columns.columns, &fields(&text, columns.delimiter))
            .checked()
            .map(|found| Item::Contact(Box::new(found)));
        Some(Ok(Located::new(position, self.at, item)))
    }
}

fn fields(record: &str, delimiter: u8) -> Vec<String> {
    let mut reader = ::csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .buffer_capacity(4096)
        .from_reader(record.as_bytes());
    let mut fields = ::csv::StringRecord::new();
    match reader.read_record(&mut fields) {
        Ok(true) => fields
            .iter()
            .take(MAX_COLUMNS)
            .map(|field| field.trim().to_owned())
            .collect(),
        _ => Vec::new(),
    }
}

fn delimiter(header: &str) -> u8 {
    let mut best = (b',', 0);
    for candidate in [b',', b';', b'\t', b'|'] {
        let count = fields(header, candidate).len();
        if count > best.1 {
            best = (candidate, count);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contacts(file: &[u8], start: Resume) -> Vec<(String, Located)> {
        Rows::new(Box::new(io::Cursor::new(file.to_vec())), start)
            .map(|row| {
                let row = row.expect("memory");
                match &row.item {
                    Ok(Item::Contact(found)) => (format!("{} {:?}", found.name, found.emails), row),
                    other => panic!("{other:?}"),
                }
            })
            .collect()
    }

    #[test]
    fn utf16_as_excel_writes_it() {
        // The second name holds units with the bytes of a line feed in them.
        let text = "\u{feff}First Name\tLast Name\tEmail\r\nZoë\tÅberg\tzoe@example.com\r\nĊaਅ\tBorg\tb@example.com\r\n";
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        for file in [little, big] {
            let found = contacts(&file, Resume::default());
            let names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(
                names,
                [
                    "Zoë Åberg [\"zoe@example.com\"]",
                    "Ċaਅ Borg [\"b@example.com\"]"
                ]
            );
            assert_eq!(found[1].1.next_offset, file.len() as u64);
            assert_eq!(
                contacts(&file, Resume::after(&found[0].1)),
                found[1..],
                "reading goes on where it ended"
            );
        }
    }
}
