//! Turns facts into correspondence: threads of one to five messages, notes, and idle talk.
//!
//! Promises: everything happens before `today`; a fact is stated only by the sources recorded as
//! its [`Telling`]s and by quoted copies of them; nobody's answers repeat a fact by accident,
//! because they come from `wording::filler`.

use chrono::{DateTime, Days, FixedOffset, NaiveDate, TimeDelta, Timelike};
use rand_chacha::ChaCha8Rng;

use super::book::{SourceKey, Telling};
use super::cards::Note;
use super::facts::Fact;
use super::mail::{Mail, Mailbox};
use super::office_hours::office_hours;
use super::people::{Household, Person};
use super::random::{below, chance, pick};
use super::wording::{self, filler};

/// Writes the book's correspondence, keeping count of who told what where.
pub struct Correspondence<'a> {
    pub rng: ChaCha8Rng,
    pub today: NaiveDate,
    pub advisor: &'a Person,
    pub mails: Vec<Mail>,
    pub notes: Vec<Note>,
    pub tellings: Vec<Telling>,
}

/// Who speaks in a thread between the advisor and one client.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Voice {
    Advisor,
    Client,
}

/// A conversation under way.
struct Thread<'a> {
    client: &'a Person,
    subject: String,
    html: bool,
    mails: Vec<Mail>,
    /// When the next message is written.
    at: DateTime<FixedOffset>,
}

impl<'a> Correspondence<'a> {
    fn day(&self, days_ago: usize) -> NaiveDate {
        self.today - Days::new(days_ago as u64)
    }

    /// Tells a fact for the first time, in one of several ways; sometimes again, later.
    /// A long mail tells `also` on the way.
    pub fn tell(
        &mut self,
        fact: &Fact,
        also: Option<&Fact>,
        household: &'a Household,
        days_ago: usize,
    ) {
        match below(&mut self.rng, 100) {
            0..45 => self.tell_in_mail(fact, household, days_ago),
            45..58 => self.tell_at_length(fact, also, household, days_ago),
            58..90 => self.tell_when_asked(fact, household, days_ago),
            _ => self.tell_in_note(fact, household, days_ago),
        }
        if chance(&mut self.rng, 20) {
            let later = 1 + below(&mut self.rng, days_ago.min(21));
            let days_ago = (days_ago + 1).saturating_sub(later).max(1);
            self.tell_in_note(fact, household, days_ago);
        }
    }

    /// The client writes of their own accord.
    pub fn tell_in_mail(&mut self, fact: &Fact, household: &'a Household, days_ago: usize) {
        let wording = wording::of(fact.kind);
        let template = pick(&mut self.rng, wording.mails);
        let subject = if chance(&mut self.rng, 60) {
            wording::tell(pick(&mut self.rng, wording.subjects), fact, household)
        } else {
            pick(&mut self.rng, filler::SUBJECTS).to_owned()
        };
        let text = self.short_text(&wording::tell(template, fact, household));
        self.write(&[fact], household, days_ago, subject, text);
    }

    /// The client writes of many things, and the fact stands in the middle of them.
    fn tell_at_length(
        &mut self,
        fact: &Fact,
        also: Option<&Fact>,
        household: &'a Household,
        days_ago: usize,
    ) {
        let facts: Vec<&Fact> = [Some(fact), also].into_iter().flatten().collect();
        let sentences: Vec<String> = facts
            .iter()
            .map(|fact| {
                let template = pick(&mut self.rng, wording::of(fact.kind).mails);
                wording::tell(template, fact, household)
            })
            .collect();
        let text = self.long_text(&sentences);
        let subject = pick(&mut self.rng, filler::SUBJECTS).to_owned();
        self.write(&facts, household, days_ago, subject, text);
    }

    fn write(
        &mut self,
        facts: &[&Fact],
        household: &'a Household,
        days_ago: usize,
        subject: String,
        text: String,
    ) {
        let day = self.day(days_ago);
        let mut thread = self.begin(&household.adults[facts[0].adult], subject, day);
        self.say(&mut thread, Voice::Client, text);
        for fact in facts {
            self.record(fact, &thread);
        }
        self.follow_up(&mut thread);
        self.mails.append(&mut thread.mails);
    }

    /// The advisor asks, the client's reply tells: the original is quoted below, and the reply in
    /// whatever follows.
    fn tell_when_asked(&mut self, fact: &Fact, household: &'a Household, days_ago: usize) {
        let wording = wording::of(fact.kind);
        let question = wording::tell(pick(&mut self.rng, wording.asks), fact, household);
        let answer = wording::tell(pick(&mut self.rng, wording.mails), fact, household);
        let subject = pick(&mut self.rng, filler::ASK_SUBJECTS);
        // The reply has to be written by yesterday as well.
        let day = self.day(days_ago + 1);
        let client = &household.adults[fact.adult];
        let mut thread = self.begin(client, subject.to_owned(), day);
        let opener = pick(&mut self.rng, filler::ASK_OPENERS);
        let text = format!("Hi {},\n\n{opener} {question}", client.first);
        self.say(&mut thread, Voice::Advisor, text);
        let answered_on = self.day(days_ago);
        thread.at = office_hours(&mut self.rng, answered_on);
        let opener = pick(&mut self.rng, filler::REPLY_OPENERS);
        let mut text = format!("{opener} {answer}");
        if chance(&mut self.rng, 40) {
            text.push_str("\n\n");
            text.push_str(pick(&mut self.rng, filler::LOGISTICS));
        }
        self.say(&mut thread, Voice::Client, text);
        self.record(fact, &thread);
        self.follow_up(&mut thread);
        self.mails.append(&mut thread.mails);
    }

    /// The advisor writes it down after a call.
    fn tell_in_note(&mut self, fact: &Fact, household: &Household, days_ago: usize) {
        let wording = wording::of(fact.kind);
        let sentence = wording::tell(pick(&mut self.rng, wording.notes), fact, household);
        let client = &household.adults[fact.adult];
        let on = self.day(days_ago);
        let ending = if chance(&mut self.rng, 70) {
            "md"
        } else {
            "txt"
        };
        let file = format!(
            "{on}-{}-{}-{}.{ending}",
            client.first.to_lowercase(),
            client.last.to_lowercase(),
            self.notes.len()
        );
        let aside = pick(&mut self.rng, filler::ASIDES);
        self.notes.push(Note {
            file: file.clone(),
            on,
            title: format!("Call with {}", client.full_name()),
            text: format!("{aside}\n\n{sentence}"),
        });
        self.tellings.push(Telling {
            fact: fact.id,
            source: SourceKey::Note(file),
            on,
        });
    }

    /// A conversation that tells nothing.
    pub fn idle_talk(&mut self, client: &'a Person, days_ago: usize) {
        let (subject, turns) = pick(&mut self.rng, filler::CONVERSATIONS);
        let day = self.day(days_ago);
        let mut thread = self.begin(client, subject.to_owned(), day);
        let opener = pick(&mut self.rng, filler::OPENERS);
        for (turn, text) in turns.iter().enumerate() {
            let voice = if turn % 2 == 0 {
                Voice::Client
            } else {
                Voice::Advisor
            };
            let text = if turn == 0 {
                format!("{opener}\n\n{text}")
            } else {
                (*text).to_owned()
            };
            self.say(&mut thread, voice, text);
        }
        self.mails.append(&mut thread.mails);
    }

    /// The advisor confirms a meeting; returns the confirmation's Message-ID.
    pub fn confirm(
        &mut self,
        client: &'a Person,
        what: &str,
        starts_at: DateTime<FixedOffset>,
        place: &str,
        days_ago: usize,
    ) -> Option<String> {
        let day = self.day(days_ago);
        let mut thread = self.begin(client, format!("Confirmed: {what}"), day);
        let text = format!(
            "Hi {},\n\nThis is to confirm our {} on {} at {}. Place: {place}.\n\nIf anything comes up, \
             just write back.",
            client.first,
            what.to_lowercase(),
            starts_at.format("%A, %B %-d"),
            starts_at.format("%-I:%M %p"),
        );
        let id = self.say(&mut thread, Voice::Advisor, text);
        if chance(&mut self.rng, 60) {
            let text = pick(&mut self.rng, filler::CONFIRMED);
            self.say(&mut thread, Voice::Client, text.to_owned());
        }
        self.mails.append(&mut thread.mails);
        id
    }

    /// A newsletter to the advisor.
    pub fn circular(&mut self, subject: &str, text: &str, days_ago: usize) {
        let day = self.day(days_ago);
        let at = office_hours(&mut self.rng, day);
        let message_id = self.message_id("news.example.org");
        self.mails.push(Mail {
            message_id,
            in_reply_to: None,
            references: Vec::new(),
            at,
            from: Mailbox {
                name: "The Ledger Letter".into(),
                email: "letter@news.example.org".into(),
            },
            to: vec![self.advisor.into()],
            subject: subject.to_owned(),
            text: text.to_owned(),
            signature: "You receive this letter because you subscribed. Unsubscribe at \
                        https://news.example.org/unsubscribe"
                .into(),
            quoted: None,
            html: true,
            list_id: Some("ledger.news.example.org".into()),
        });
    }

    /// The thread's newest message states the fact.
    fn record(&mut self, fact: &Fact, thread: &Thread<'_>) {
        if let Some(mail) = thread.mails.last() {
            self.tellings.push(Telling {
                fact: fact.id,
                source: SourceKey::Mail(mail.message_id.clone()),
                on: mail.at.date_naive(),
            });
        }
    }

    fn short_text(&mut self, sentence: &str) -> String {
        let mut text = pick(&mut self.rng, filler::OPENERS).to_owned();
        text.push_str("\n\n");
        if chance(&mut self.rng, 65) {
            text.push_str(pick(&mut self.rng, filler::SMALL_TALK));
            text.push_str(if chance(&mut self.rng, 50) {
                " "
            } else {
                "\n\n"
            });
        }
        text.push_str(sentence);
        let first = below(&mut self.rng, filler::LOGISTICS.len());
        for step in 0..below(&mut self.rng, 3) {
            text.push_str(if step == 0 { "\n\n" } else { " " });
            text.push_str(filler::LOGISTICS[(first + step * 7) % filler::LOGISTICS.len()]);
        }
        text
    }

    fn long_text(&mut self, sentences: &[String]) -> String {
        let start = below(&mut self.rng, filler::PARAGRAPHS.len());
        let mut paragraphs: Vec<&str> = (0..5 + below(&mut self.rng, 3))
            .map(|step| filler::PARAGRAPHS[(start + step * 5) % filler::PARAGRAPHS.len()])
            .collect();
        for (step, sentence) in sentences.iter().enumerate() {
            paragraphs.insert(paragraphs.len() / 2 + step, sentence);
        }
        let opener = pick(&mut self.rng, filler::OPENERS);
        format!("{opener}\n\n{}", paragraphs.join("\n\n"))
    }

    fn begin(&mut self, client: &'a Person, subject: String, day: NaiveDate) -> Thread<'a> {
        Thread {
            client,
            subject,
            html: chance(&mut self.rng, 40),
            mails: Vec::new(),
            at: office_hours(&mut self.rng, day),
        }
    }

    /// Nought to three messages after a fact: acknowledged, thanked for, closed.
    fn follow_up(&mut self, thread: &mut Thread<'_>) {
        let turns: [(usize, Voice, &[&str]); 3] = [
            (50, Voice::Advisor, filler::ACKNOWLEDGEMENTS),
            (40, Voice::Client, filler::THANKS),
            (30, Voice::Advisor, filler::LAST_WORDS),
        ];
        for (percent, voice, texts) in turns {
            if !chance(&mut self.rng, percent) {
                return;
            }
            let text = pick(&mut self.rng, texts).to_owned();
            self.say(thread, voice, text);
        }
    }

    /// Adds a message to the thread and moves its clock on; `None` when it would lie in the future
    /// (then the thread simply waits for an answer, as some do).
    fn say(&mut self, thread: &mut Thread<'_>, voice: Voice, text: String) -> Option<String> {
        if thread.at.date_naive() >= self.today {
            return None;
        }
        let (advisor, client) = (Mailbox::from(self.advisor), Mailbox::from(thread.client));
        let (from, to) = match voice {
            Voice::Advisor => (advisor, client),
            Voice::Client => (client, advisor),
        };
        let signature = self.signature(voice, thread.client);
        let domain = from.email.rsplit('@').next().unwrap_or_default().to_owned();
        let message_id = self.message_id(&domain);
        let parent = thread.mails.last();
        let mail = Mail {
            message_id: message_id.clone(),
            in_reply_to: parent.map(|mail| mail.message_id.clone()),
            references: thread
                .mails
                .iter()
                .map(|mail| mail.message_id.clone())
                .collect(),
            at: thread.at,
            from,
            to: vec![to],
            subject: match parent {
                Some(_) => format!("Re: {}", thread.subject),
                None => thread.subject.clone(),
            },
            text,
            signature,
            quoted: parent.map(Mail::as_quoted),
            html: thread.html,
            list_id: None,
        };
        thread.mails.push(mail);
        thread.at = self.next_turn(thread.at);
        Some(message_id)
    }

    /// Some hours later the same day, else one to three days later in office hours.
    fn next_turn(&mut self, at: DateTime<FixedOffset>) -> DateTime<FixedOffset> {
        if at.hour() < 14 && chance(&mut self.rng, 50) {
            let minutes = i64::try_from(11 + below(&mut self.rng, 170)).unwrap_or(11);
            return at + TimeDelta::minutes(minutes);
        }
        let days = 1 + below(&mut self.rng, 3) as u64;
        office_hours(&mut self.rng, at.date_naive() + Days::new(days))
    }

    fn signature(&mut self, voice: Voice, client: &Person) -> String {
        match voice {
            Voice::Advisor => format!(
                "Best,\nAlex\n\n-- \n{}\nMorgan Advisory\n{}",
                self.advisor.full_name(),
                self.advisor.phone
            ),
            Voice::Client => {
                let closer = pick(&mut self.rng, filler::CLOSERS);
                match below(&mut self.rng, 5) {
                    0 => format!("{closer}\n{}", client.full_name()),
                    1 => format!("{closer}\n{}\n\nSent from my phone", client.first),
                    2 => format!("-- \n{}", client.full_name()),
                    _ => format!("{closer}\n{}", client.first),
                }
            }
        }
    }

    fn message_id(&mut self, domain: &str) -> String {
        let random: u64 = rand::Rng::random(&mut self.rng);
        format!("{random:016x}@{domain}")
    }
}
