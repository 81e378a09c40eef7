//! What a rule does, in types. Nothing here does it.

use std::fmt;

use super::due::Due;
use super::lexicon;
use super::template::Template;
use super::vocabulary::{ActionName, Priority, TaskKind};

/// A text's absence means that the one who acts chooses its words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    Log {
        text: Option<Template>,
    },
    CreateTask {
        kind: TaskKind,
        priority: Priority,
        title: Option<Template>,
        due: Option<Due>,
    },
    CreateContact {
        name: Option<Template>,
        email: Option<Template>,
        note: Option<Template>,
    },
    CreateNote {
        text: Option<Template>,
        contact: Option<Template>,
    },
    DraftReply {
        instructions: Option<Template>,
    },
    SendEmail {
        /// The name of a stored template: small letters, digits, `_`.
        template: String,
        to: Option<Template>,
        subject: Option<Template>,
        text: Option<Template>,
    },
    AskAssistant {
        text: Template,
    },
}

impl Action {
    pub const fn name(&self) -> ActionName {
        match self {
            Self::Log { .. } => ActionName::Log,
            Self::CreateTask { .. } => ActionName::CreateTask,
            Self::CreateContact { .. } => ActionName::CreateContact,
            Self::CreateNote { .. } => ActionName::CreateNote,
            Self::DraftReply { .. } => ActionName::DraftReply,
            Self::SendEmail { .. } => ActionName::SendEmail,
            Self::AskAssistant { .. } => ActionName::AskAssistant,
        }
    }
}

impl Action {
    /// What is written to it, by name; the text that stands without one is `text`.
    pub fn parameters(&self) -> Vec<(&'static str, String)> {
        let some =
            |name, text: &Option<Template>| text.as_ref().map(|text| (name, text.to_string()));
        let written = match self {
            Self::Log { text } | Self::DraftReply { instructions: text } => {
                vec![some("text", text)]
            }
            Self::CreateTask {
                kind,
                priority,
                title,
                due,
            } => vec![
                Some(("type", kind.to_string())),
                Some(("priority", priority.to_string())),
                some("title", title),
                due.map(|due| ("due", due.to_string())),
            ],
            Self::CreateContact { name, email, note } => {
                vec![some("name", name), some("email", email), some("note", note)]
            }
            Self::CreateNote { text, contact } => {
                vec![some("text", text), some("contact", contact)]
            }
            Self::SendEmail {
                template,
                to,
                subject,
                text,
            } => vec![
                Some(("template", template.clone())),
                some("to", to),
                some("subject", subject),
                some("text", text),
            ],
            Self::AskAssistant { text } => vec![Some(("text", text.to_string()))],
        };
        written.into_iter().flatten().collect()
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name())?;
        match self {
            Self::Log { text } => write_text(f, text.as_ref()),
            Self::CreateTask {
                kind,
                priority,
                title,
                due,
            } => {
                write!(f, " type={kind}")?;
                if *priority != Priority::default() {
                    write!(f, " priority={priority}")?;
                }
                write_parameter(f, "title", title.as_ref())?;
                match due {
                    Some(due) => write!(f, " due={due}"),
                    None => Ok(()),
                }
            }
            Self::CreateContact { name, email, note } => {
                write_parameter(f, "name", name.as_ref())?;
                write_parameter(f, "email", email.as_ref())?;
                write_parameter(f, "note", note.as_ref())
            }
            Self::CreateNote { text, contact } => {
                write_text(f, text.as_ref())?;
                write_parameter(f, "contact", contact.as_ref())
            }
            Self::DraftReply { instructions } => write_text(f, instructions.as_ref()),
            Self::SendEmail {
                template,
                to,
                subject,
                text,
            } => {
                f.write_str(" template=")?;
                lexicon::write_value(f, template)?;
                write_parameter(f, "to", to.as_ref())?;
                write_parameter(f, "subject", subject.as_ref())?;
                write_parameter(f, "text", text.as_ref())
            }
            Self::AskAssistant { text } => write_text(f, Some(text)),
        }
    }
}

fn write_text(f: &mut fmt::Formatter<'_>, text: Option<&Template>) -> fmt::Result {
    let Some(text) = text else { return Ok(()) };
    f.write_str(" ")?;
    lexicon::write_quoted(f, &text.to_string())
}

fn write_parameter(f: &mut fmt::Formatter<'_>, name: &str, text: Option<&Template>) -> fmt::Result {
    let Some(text) = text else { return Ok(()) };
    write!(f, " {name}=")?;
    lexicon::write_value(f, &text.to_string())
}
