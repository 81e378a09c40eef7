//! Notes and deals: converted like the rest, and introduced by the names of their people, which only
//! the book can tell.

use super::{Batch, day, header};
use crate::book::{self, Kind, Known, NewDeal, NewNote};
use crate::db::Scoped;
use crate::ids;
use crate::ingest::files::{Deal, Note};
use crate::retrieval::{Passage, Searchable};

impl Batch {
    pub(super) fn note(&mut self, note: Note) -> Searchable {
        let new = NewNote {
            id: ids::next(),
            uid: note.uid,
            text: note.text,
            written_at: note.at,
            about: note.about,
            people: Vec::new(),
        };
        let first = header(&[new
            .text
            .lines()
            .find(|line| !line.trim().is_empty())
            .unwrap_or("")]);
        let searchable = Searchable {
            kind: Kind::Note,
            source_id: new.id,
            thread_id: None,
            occurred_at: new.written_at,
            title: if first.is_empty() {
                "(empty note)".to_owned()
            } else {
                first
            },
            header: header(&["Note", &day(new.written_at)]),
            participants: new.about.clone(),
            names: String::new(),
            text: new.text.clone(),
            attached_at: 0,
        };
        self.keys.push(new.dedupe_key());
        self.notes.push(new);
        searchable
    }

    pub(super) fn deal(&mut self, deal: Deal) -> Searchable {
        let new = NewDeal {
            id: ids::next(),
            uid: deal.uid,
            name: deal.name,
            amount: deal.amount,
            stage: deal.stage,
            pipeline: deal.pipeline,
            closes_on: deal.closes_on,
            description: deal.description,
            about: deal.about,
            people: Vec::new(),
        };
        let title = if new.name.trim().is_empty() {
            "(no name)".to_owned()
        } else {
            new.name.clone()
        };
        let searchable = Searchable {
            kind: Kind::Deal,
            source_id: new.id,
            thread_id: None,
            occurred_at: None,
            header: header(&["Deal", &title]),
            title,
            participants: new.about.clone(),
            names: new.name.clone(),
            text: new.text(),
            attached_at: 0,
        };
        self.keys.push(new.dedupe_key());
        self.deals.push(new);
        searchable
    }

    /// Puts the names of the people that notes and deals are about in front of their passages: only
    /// the book knows who stands behind a uid.
    pub(super) async fn introduce(&mut self, tx: &mut Scoped) -> Result<(), sqlx::Error> {
        let mut uids: Vec<String> = self
            .notes
            .iter()
            .flat_map(|note| &note.about)
            .chain(self.deals.iter().flat_map(|deal| &deal.about))
            .cloned()
            .collect();
        uids.sort_unstable();
        uids.dedup();
        let known = book::find_people(tx, &uids).await?;
        let people = |about: &[String]| -> Vec<Known> {
            about
                .iter()
                .filter_map(|uid| known.get(uid).cloned())
                .collect()
        };
        for note in &mut self.notes {
            note.people = people(&note.about);
            let header = header(&["Note", &names(&note.people), &day(note.written_at)]);
            for passage in self.passages.entry(note.id).or_default() {
                introduce(passage, &header, &note.people);
            }
        }
        for deal in &mut self.deals {
            deal.people = people(&deal.about);
            let header = header(&["Deal", &deal.name, &names(&deal.people)]);
            for passage in self.passages.entry(deal.id).or_default() {
                introduce(passage, &header, &deal.people);
            }
        }
        Ok(())
    }
}

/// Beside the uids that a passage has as its participants from the beginning stand the addresses, so
/// that it is found by either.
fn introduce(passage: &mut Passage, header: &str, people: &[Known]) {
    header.clone_into(&mut passage.header);
    passage.names = format!("{} {}", passage.names, names(people));
    passage
        .participants
        .extend(book::address_keys(people.iter().flat_map(|p| &p.emails)));
}

fn names(people: &[Known]) -> String {
    let names: Vec<_> = people.iter().map(|person| person.name.as_str()).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_note_is_found_by_its_people_whether_or_not_the_book_knows_them() {
        let mut batch = Batch::default();
        let note = batch.note(Note {
            uid: "hubspot:900".to_owned(),
            text: "\nSold the boat.\nHappily.".to_owned(),
            at: "2026-02-03T10:00:00Z".parse().ok(),
            about: vec!["hubspot:51".to_owned()],
        });
        assert_eq!(note.title, "Sold the boat.");
        assert_eq!(note.header, "Note | 3 February 2026");
        let mut passage = crate::retrieval::passages(&[note], 100).remove(0);
        assert_eq!(passage.participants, ["hubspot:51"]);

        let sara = Known {
            id: Uuid::nil(),
            key: [0; 32],
            name: "Sara Smith".to_owned(),
            emails: vec!["Sara+x@Client.example".to_owned()],
        };
        introduce(&mut passage, "Note | Sara Smith | 3 February 2026", &[sara]);
        assert_eq!(passage.participants, ["hubspot:51", "sara@client.example"]);
        assert!(passage.names.contains("Sara Smith"), "{}", passage.names);
    }
}
