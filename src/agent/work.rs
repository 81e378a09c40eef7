//! What a piece of work has in hand: whose words set it going, whom they name, what has come into view,
//! what was done. It is what actions are judged by, so nothing that comes from outside is added to whom it
//! may write to.

use std::collections::{BTreeSet, HashMap};

use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::sources::{Seen, Sources};
use super::tools::{Nature, ToolError, nature};
use crate::activity::Why;
use crate::book::{self, Acquaintance, Kind, address_key};
use crate::db::{Scoped, UserScope};
use crate::effects::{Action, Bounds, Item, Span};
use crate::identity::settings::{self, WorkingHours};
use crate::providers::openai::Message;
use crate::state::App;

/// Work that somebody else's doing set going reads this and nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reach {
    pub thread: Option<Uuid>,
    /// Keys of the addresses of those whose records it may read.
    pub people: BTreeSet<String>,
}

/// A mail that went out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sent {
    /// The waiting for its answer.
    pub awaited: Uuid,
    pub message_id: Option<String>,
    pub thread: Option<String>,
    pub to: Vec<String>,
    pub subject: String,
}

/// One turn as it is stored: what was said, and what came of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Turn {
    pub message: Option<Message>,
    pub seen: Vec<Seen>,
    pub slots: Vec<Span>,
    pub sent: Option<Sent>,
    /// What was done: its name and input.
    pub done: Option<(String, Value)>,
    /// The waitings that were answered.
    pub heard: Vec<Uuid>,
    /// Nobody answered in time.
    pub unheard: bool,
    /// What the model was paid for it.
    pub tokens: u64,
}

impl Turn {
    pub fn of(message: Message) -> Self {
        Self {
            message: Some(message),
            ..Self::default()
        }
    }
}

/// What a piece of work has in hand.
pub(super) struct Work {
    /// What the user said; of a conversation all of it.
    pub said: String,
    /// Why it is done, for the user.
    pub reason: String,
    pub why: Why,
    pub rule_is_auto: bool,
    /// What goes out is read by the user first.
    pub is_draft: bool,
    /// A brief: it reads what the people within reach are part of, and does nothing.
    pub is_brief: bool,
    /// None is everything.
    pub reach: Option<Reach>,
    pub zone: Tz,
    pub hours: WorkingHours,
    pub instructions: String,
    /// Whom the user named; none until it was looked for.
    pub named: Option<BTreeSet<String>>,
    /// What earlier answers rested on.
    pub earlier: Vec<Item>,
    pub sources: Sources,
    /// Times that were found to be free.
    pub slots: Vec<Span>,
    pub sent: Vec<Sent>,
    pub done: Vec<(String, Value)>,
    pub heard: Vec<Uuid>,
    /// How often nobody has answered since the last answer.
    pub unheard: usize,
}

impl Default for Work {
    fn default() -> Self {
        Self {
            said: String::new(),
            reason: String::new(),
            why: Why::default(),
            rule_is_auto: false,
            is_draft: false,
            is_brief: false,
            reach: None,
            zone: Tz::UTC,
            hours: WorkingHours::default(),
            instructions: String::new(),
            named: None,
            earlier: Vec::new(),
            sources: Sources::default(),
            slots: Vec::new(),
            sent: Vec::new(),
            done: Vec::new(),
            heard: Vec::new(),
            unheard: 0,
        }
    }
}

impl Work {
    /// With what the user has set.
    pub async fn of_user(app: &App, scope: &UserScope) -> Result<Self, sqlx::Error> {
        let mut tx = scope.begin(&app.pool).await?;
        let settings = settings::find(&mut tx).await?;
        Ok(Self {
            zone: settings.time_zone,
            hours: settings.working_hours,
            instructions: settings.instructions,
            ..Self::default()
        })
    }

    /// What set it going, for tasks.
    pub fn cause(&self) -> Value {
        let (kind, id) = match (self.why.rule_id, self.why.conversation_id) {
            (Some(id), _) => ("rule", Some(id)),
            (None, Some(id)) => ("conversation", Some(id)),
            // Another program, with the user's token.
            (None, None) => ("token", None),
        };
        json!({"kind": kind, "id": id})
    }

    /// Restricted work searches nothing, opens no records by id, sets no rules and starts nothing new; a brief
    /// searches, and does nothing at all.
    pub fn may_use(&self, tool: &str) -> bool {
        if self.is_brief {
            return matches!(
                tool,
                "search"
                    | "get_email"
                    | "get_thread"
                    | "find_contacts"
                    | "get_contact"
                    | "get_event"
            );
        }
        self.reach.is_none()
            || !matches!(
                tool,
                "search"
                    | "get_note"
                    | "get_deal"
                    | "get_document"
                    | "list_activity"
                    | "list_rules"
                    | "propose_rule"
            )
    }

    /// Of those who take part in it, one is within a brief's reach; others read their one thread.
    pub fn may_read_mail(&self, thread: Uuid, people: &[String]) -> bool {
        self.reach
            .as_ref()
            .is_none_or(|reach| reach.thread == Some(thread))
            || (self.is_brief && self.may_read_of(people))
    }

    /// Whether all that is known of these people is within reach: one of them is.
    pub fn may_read_of(&self, addresses: &[String]) -> bool {
        self.reach.as_ref().is_none_or(|reach| {
            addresses
                .iter()
                .any(|address| reach.people.contains(&address_key(address)))
        })
    }

    /// Takes over what a turn brought.
    pub fn take(&mut self, turn: &Turn) {
        for seen in &turn.seen {
            self.sources.number(seen.clone());
        }
        self.slots.extend(&turn.slots);
        self.sent.extend(turn.sent.clone());
        self.done.extend(turn.done.clone());
        if !turn.heard.is_empty() {
            self.heard.extend(&turn.heard);
            self.unheard = 0;
        }
        self.unheard += usize::from(turn.unheard);
    }

    /// Within what an action is thought of now.
    pub async fn bounds(&self, tx: &mut Scoped) -> Result<Bounds, sqlx::Error> {
        let mut bounds = Bounds {
            named: self.named.clone().unwrap_or_default(),
            seen: self.earlier.clone(),
            said: self.said.clone(),
            rule_is_auto: self.rule_is_auto,
            is_draft: self.is_draft,
        };
        let sources = self.sources.all();
        let ids: Vec<Uuid> = sources.iter().map(|seen| seen.source_id).collect();
        let mut readers = book::readers(tx, &ids).await?;
        for seen in sources {
            bounds.see(Item {
                kind: seen.kind,
                id: seen.source_id,
                title: seen.title.clone(),
                readers: readers.remove(&seen.source_id).unwrap_or_default(),
            });
        }
        Ok(bounds)
    }

    /// What was in view, in the form of a tool's output, as [`shown_before`] reads it.
    pub fn shown(&self) -> Value {
        let earlier = self
            .earlier
            .iter()
            .map(|item| json!({"kind": item.kind, "id": item.id, "title": item.title}));
        let seen = self
            .sources
            .all()
            .iter()
            .map(|seen| json!({"kind": seen.kind, "id": seen.source_id, "title": seen.title}));
        json!({"results": earlier.chain(seen).collect::<Vec<_>>()})
    }

    /// Whether it is this very thing that was done before.
    pub fn was_done(&self, action: &Action) -> bool {
        let input = action.input();
        self.done
            .iter()
            .any(|(name, done)| name == action.name() && *done == input)
    }

    /// The mails whose answers haven't come, to those to whom the last one went.
    pub fn unanswered(&self) -> Vec<&Sent> {
        let open = || {
            self.sent
                .iter()
                .filter(|sent| !self.heard.contains(&sent.awaited))
        };
        let Some(last) = open().next_back() else {
            return Vec::new();
        };
        open()
            .filter(|sent| sent.to.iter().any(|one| last.to.contains(one)))
            .collect()
    }
}

/// Items that stand in what tools have shown before, as they are stored with a conversation.
pub(super) async fn shown_before(
    tx: &mut Scoped,
    outputs: &[Value],
) -> Result<Vec<Item>, sqlx::Error> {
    let mut found: HashMap<Uuid, (Kind, String)> = HashMap::new();
    for result in outputs
        .iter()
        .filter_map(|one| one["results"].as_array())
        .flatten()
    {
        let id = result["id"].as_str().and_then(|id| id.parse().ok());
        let kind = result["kind"].as_str().and_then(Kind::parse);
        if let (Some(id), Some(kind)) = (id, kind) {
            let title = ["title", "subject", "name", "about"]
                .iter()
                .find_map(|name| result[name].as_str())
                .unwrap_or_default();
            found.insert(id, (kind, title.chars().take(200).collect()));
        }
    }
    let ids: Vec<Uuid> = found.keys().copied().collect();
    let mut readers = book::readers(tx, &ids).await?;
    Ok(found
        .into_iter()
        .map(|(id, (kind, title))| Item {
            kind,
            id,
            title,
            readers: readers.remove(&id).unwrap_or_default(),
        })
        .collect())
}

/// Everybody in the address book, for reading names.
pub(super) async fn people(app: &App, scope: &UserScope) -> Result<Vec<Acquaintance>, ToolError> {
    let mut tx = scope.begin(&app.pool).await?;
    Ok(book::everybody(&mut tx).await?)
}

/// Whether a call is one that a run answers, not the conversation.
pub(super) fn is_for_a_run(name: &str) -> bool {
    matches!(nature(name), Some(Nature::GoesOut | Nature::Waits))
}
