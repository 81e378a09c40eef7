//! The words of the grammar: events, fields, operators, actions, and which fields an event has.
//!
//! A new word is a row here; the compiler then asks for its kind or its parser, and a test for its
//! row in docs/rules.md.

use std::fmt;

/// An enum of words. List, names and reading come from one table, so that none can be forgotten.
macro_rules! words {
    ($($(#[$meta:meta])* pub enum $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ })+) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$doc])* $variant,)+
        }

        impl $name {
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// As it is written in a rule.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }

            /// Case doesn't matter: telephones begin sentences with a capital.
            pub fn parse(word: &str) -> Option<Self> {
                let known = |one: &Self| one.name().eq_ignore_ascii_case(word);
                Self::ALL.iter().copied().find(known)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    )+};
}

words! {
    /// The catalogue of what can happen.
    pub enum Event {
        ContactCreation = "hubspot.contact.creation",
        ContactPropertyChange = "hubspot.contact.propertyChange",
        ContactDeletion = "hubspot.contact.deletion",
        ContactMerge = "hubspot.contact.merge",
        ContactRestore = "hubspot.contact.restore",
        ContactAssociationChange = "hubspot.contact.associationChange",
        ContactPrivacyDeletion = "hubspot.contact.privacyDeletion",
        DealCreation = "hubspot.deal.creation",
        DealPropertyChange = "hubspot.deal.propertyChange",
        DealDeletion = "hubspot.deal.deletion",
        DealMerge = "hubspot.deal.merge",
        DealRestore = "hubspot.deal.restore",
        DealAssociationChange = "hubspot.deal.associationChange",
        NoteCreation = "hubspot.note.creation",
        NotePropertyChange = "hubspot.note.propertyChange",
        NoteDeletion = "hubspot.note.deletion",
        NoteAssociationChange = "hubspot.note.associationChange",
        MessageReceived = "gmail.message.received",
        MessageSent = "gmail.message.sent",
        MessageDeleted = "gmail.message.deleted",
        CalendarEventCreated = "calendar.event.created",
        CalendarEventUpdated = "calendar.event.updated",
        CalendarEventCancelled = "calendar.event.cancelled",
        CalendarMeetingUpcoming = "calendar.meeting.upcoming",
    }

    /// What a condition can ask about and a text can mention.
    pub enum Field {
        Event = "event",
        /// We caused it ourselves.
        Own = "own",
        From = "from",
        FromName = "from_name",
        FromDomain = "from_domain",
        To = "to",
        Cc = "cc",
        /// To and cc.
        Recipients = "recipients",
        Subject = "subject",
        Body = "body",
        Label = "label",
        /// File names.
        Attachment = "attachment",
        HasAttachment = "has_attachment",
        SenderInCrm = "sender_in_crm",
        IsReply = "is_reply",
        /// Written by a machine: a newsletter, an out-of-office reply.
        Automatic = "automatic",
        /// Bytes.
        Size = "size",
        Name = "name",
        Email = "email",
        Phone = "phone",
        Company = "company",
        /// The name of the property that changed.
        Property = "property",
        /// The changed property's value now.
        Value = "value",
        /// Who or what changed it.
        Source = "source",
        HasEmail = "has_email",
        Stage = "stage",
        Amount = "amount",
        Text = "text",
        /// Names of the contacts that a note is about.
        Contact = "contact",
        Title = "title",
        Organizer = "organizer",
        Attendee = "attendee",
        Location = "location",
        Description = "description",
        AllDay = "all_day",
        AttendeeInCrm = "attendee_in_crm",
        StartsInHours = "starts_in_hours",
    }

    /// What stands between a field and its value.
    pub enum Op {
        Is = "=",
        IsNot = "!=",
        Contains = "~",
        Lacks = "!~",
        Less = "<",
        AtMost = "<=",
        More = ">",
        AtLeast = ">=",
    }

    /// What a rule can do.
    pub enum ActionName {
        Log = "log",
        CreateTask = "create_task",
        CreateContact = "create_contact",
        CreateNote = "create_note",
        DraftReply = "draft_reply",
        SendEmail = "send_email",
        AskAssistant = "ask_assistant",
    }

    /// The tasks that a rule can create.
    pub enum TaskKind {
        WelcomeEmail = "welcome_email",
        FollowUp = "follow_up",
        ProcessEmail = "process_email",
        MeetingBrief = "meeting_brief",
        Generic = "generic",
    }

    /// How soon a task wants doing.
    #[derive(Default)]
    pub enum Priority {
        Low = "low",
        #[default]
        Normal = "normal",
        High = "high",
    }
}

/// What kind of values a field has, which decides its operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    List,
    Flag,
    Number,
}

impl Kind {
    /// For a person.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::List => "list",
            Self::Flag => "yes/no",
            Self::Number => "number",
        }
    }

    pub const fn ops(self) -> &'static [Op] {
        match self {
            Self::Text | Self::List => &[Op::Is, Op::IsNot, Op::Contains, Op::Lacks],
            Self::Flag => &[Op::Is, Op::IsNot],
            Self::Number => &[
                Op::Is,
                Op::IsNot,
                Op::Less,
                Op::AtMost,
                Op::More,
                Op::AtLeast,
            ],
        }
    }
}

const EVERYWHERE: &[Field] = &[Field::Event, Field::Own];
const OF_MAIL: &[Field] = &[
    Field::From,
    Field::FromName,
    Field::FromDomain,
    Field::To,
    Field::Cc,
    Field::Recipients,
    Field::Subject,
    Field::Body,
    Field::Label,
    Field::Attachment,
    Field::HasAttachment,
    Field::SenderInCrm,
    Field::IsReply,
    Field::Automatic,
    Field::Size,
];
const OF_CONTACTS: &[Field] = &[
    Field::Name,
    Field::Email,
    Field::Phone,
    Field::Company,
    Field::Property,
    Field::Value,
    Field::Source,
    Field::HasEmail,
];
const OF_DEALS: &[Field] = &[
    Field::Name,
    Field::Stage,
    Field::Amount,
    Field::Property,
    Field::Value,
    Field::Source,
];
const OF_NOTES: &[Field] = &[Field::Text, Field::Contact, Field::Source];
const OF_CALENDAR_EVENTS: &[Field] = &[
    Field::Title,
    Field::Organizer,
    Field::Attendee,
    Field::Location,
    Field::Description,
    Field::AllDay,
    Field::AttendeeInCrm,
    Field::StartsInHours,
];

impl Event {
    const fn own_fields(self) -> &'static [Field] {
        match self {
            Self::ContactCreation
            | Self::ContactPropertyChange
            | Self::ContactDeletion
            | Self::ContactMerge
            | Self::ContactRestore
            | Self::ContactAssociationChange
            | Self::ContactPrivacyDeletion => OF_CONTACTS,
            Self::DealCreation
            | Self::DealPropertyChange
            | Self::DealDeletion
            | Self::DealMerge
            | Self::DealRestore
            | Self::DealAssociationChange => OF_DEALS,
            Self::NoteCreation
            | Self::NotePropertyChange
            | Self::NoteDeletion
            | Self::NoteAssociationChange => OF_NOTES,
            Self::MessageReceived | Self::MessageSent | Self::MessageDeleted => OF_MAIL,
            Self::CalendarEventCreated
            | Self::CalendarEventUpdated
            | Self::CalendarEventCancelled
            | Self::CalendarMeetingUpcoming => OF_CALENDAR_EVENTS,
        }
    }

    /// Whether this event can have the field; at some moments its value may still be missing.
    pub fn has(self, field: Field) -> bool {
        EVERYWHERE.contains(&field) || self.own_fields().contains(&field)
    }
}

impl Field {
    pub const fn kind(self) -> Kind {
        match self {
            Self::Event
            | Self::From
            | Self::FromName
            | Self::FromDomain
            | Self::Subject
            | Self::Body
            | Self::Name
            | Self::Company
            | Self::Property
            | Self::Value
            | Self::Source
            | Self::Stage
            | Self::Text
            | Self::Title
            | Self::Organizer
            | Self::Location
            | Self::Description => Kind::Text,
            Self::To
            | Self::Cc
            | Self::Recipients
            | Self::Label
            | Self::Attachment
            | Self::Email
            | Self::Phone
            | Self::Contact
            | Self::Attendee => Kind::List,
            Self::Own
            | Self::HasAttachment
            | Self::SenderInCrm
            | Self::IsReply
            | Self::Automatic
            | Self::HasEmail
            | Self::AllDay
            | Self::AttendeeInCrm => Kind::Flag,
            Self::Size | Self::Amount | Self::StartsInHours => Kind::Number,
        }
    }
}

impl ActionName {
    pub const fn parameters(self) -> &'static [&'static str] {
        match self {
            Self::Log | Self::DraftReply | Self::AskAssistant => &[],
            Self::CreateTask => &["type", "priority", "title", "due"],
            Self::CreateContact => &["name", "email", "note"],
            Self::CreateNote => &["text", "contact"],
            Self::SendEmail => &["template", "to", "subject", "text"],
        }
    }

    /// Whether a text in quotes may follow the name.
    pub const fn takes_text(self) -> bool {
        match self {
            Self::Log | Self::CreateNote | Self::DraftReply | Self::AskAssistant => true,
            Self::CreateTask | Self::CreateContact | Self::SendEmail => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_back_in_any_case() {
        for event in Event::ALL {
            assert_eq!(Event::parse(&event.name().to_uppercase()), Some(*event));
        }
        for field in Field::ALL {
            assert_eq!(Field::parse(field.name()), Some(*field));
        }
        assert_eq!(Event::parse("gmail.message"), None);
    }

    #[test]
    fn every_field_belongs_to_some_event() {
        for field in Field::ALL {
            assert!(
                Event::ALL.iter().any(|event| event.has(*field)),
                "{field} is in no event"
            );
        }
        assert!(Event::DealMerge.has(Field::Own));
        assert!(!Event::DealMerge.has(Field::Subject));
    }
}
