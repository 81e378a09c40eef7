//! What a user has set: what of the mailbox is never imported, which addresses are the user's own, when
//! they work, and what may be done without asking.
//!
//! Promises: what is stored is in the form in which it is compared (lower case, domains in ASCII, each
//! once). May not know: who acts upon a setting; a change of the scope of import is a task for
//! whoever imports.

mod check;
pub mod routes;
mod store;

use chrono::{DateTime, NaiveTime, Utc, Weekday};
use serde::{Deserialize, Serialize};

use crate::tasks::{Payload, Priority};

pub use check::mail_address;
pub use store::{adopt_time_zone, find, hold_if_paused, own_addresses};

/// A user's settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Settings {
    pub import_scope: ImportScope,
    /// Addresses of the user's own beside those that sign-in and connections tell.
    pub own_addresses: Vec<String>,
    /// By its name in the IANA database; the connected calendar's until it is set, else `UTC`.
    #[schema(value_type = String)]
    pub time_zone: chrono_tz::Tz,
    pub working_hours: WorkingHours,
    pub autonomy: Autonomy,
    pub auto_recipients: AutoRecipients,
    /// What the assistant is to keep in mind, in the user's words.
    pub instructions: String,
    pub send_updates: SendUpdates,
    /// Tokens of the model in a day of the user's time zone; 0 is none at all.
    pub daily_token_budget: i64,
    /// Nothing goes out while this is so.
    pub paused: bool,
    /// Since when; names the pause.
    #[serde(skip)]
    pub paused_at: Option<DateTime<Utc>>,
    /// When the day's tokens were last set; names that budget.
    #[serde(skip)]
    pub budget_set_at: Option<DateTime<Utc>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            import_scope: ImportScope::default(),
            own_addresses: Vec::new(),
            time_zone: chrono_tz::Tz::UTC,
            working_hours: WorkingHours::default(),
            autonomy: Autonomy::default(),
            auto_recipients: AutoRecipients::Known,
            instructions: String::new(),
            send_updates: SendUpdates::All,
            daily_token_budget: 1_000_000,
            paused: false,
            paused_at: None,
            budget_set_at: None,
        }
    }
}

/// When the user can be met, in their time zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct WorkingHours {
    /// `mon` to `sun`.
    pub days: Vec<Day>,
    /// `09:00`
    #[serde(with = "clock_time")]
    #[schema(value_type = String)]
    pub start: NaiveTime,
    #[serde(with = "clock_time")]
    #[schema(value_type = String)]
    pub end: NaiveTime,
}

impl Default for WorkingHours {
    fn default() -> Self {
        let at = |hour| NaiveTime::from_hms_opt(hour, 0, 0).unwrap_or_default();
        Self {
            days: vec![Day::Mon, Day::Tue, Day::Wed, Day::Thu, Day::Fri],
            start: at(9),
            end: at(17),
        }
    }
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

impl From<Weekday> for Day {
    fn from(day: Weekday) -> Self {
        match day {
            Weekday::Mon => Self::Mon,
            Weekday::Tue => Self::Tue,
            Weekday::Wed => Self::Wed,
            Weekday::Thu => Self::Thu,
            Weekday::Fri => Self::Fri,
            Weekday::Sat => Self::Sat,
            Weekday::Sun => Self::Sun,
        }
    }
}

mod clock_time {
    use chrono::NaiveTime;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde hands over references"
    )]
    pub fn serialize<S: Serializer>(time: &NaiveTime, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&time.format("%H:%M"))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<NaiveTime, D::Error> {
        let text = String::deserialize(from)?;
        NaiveTime::parse_from_str(&text, "%H:%M")
            .map_err(|_| D::Error::custom("a time is written HH:MM"))
    }
}

/// What may be done without asking.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Autonomy {
    pub send_email: Leave,
    pub create_event: Leave,
    pub write_crm: Leave,
}

/// Whether an action needs the user's word each time.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum Leave {
    #[default]
    Ask,
    Auto,
}

/// Who may be written to without asking, where sending is `auto`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum AutoRecipients {
    /// Those of the user's contacts.
    Known,
    /// Those of the user's own domain.
    OwnDomain,
    Anyone,
}

/// Who is told of changes to the calendar.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, utoipa::ToSchema,
)]
#[serde(rename_all = "camelCase")]
#[sqlx(type_name = "text", rename_all = "camelCase")]
pub enum SendUpdates {
    All,
    ExternalOnly,
    None,
}

/// "The pause that began then is over": what waits for it is woken by this.
pub fn resumed(paused_at: DateTime<Utc>) -> String {
    format!("resumed:{}", paused_at.timestamp_micros())
}

/// "The budget that was set then is another now": what waits for tokens is woken by this.
pub fn budget_changed(set_at: Option<DateTime<Utc>>) -> String {
    let set_at = set_at.map_or(0, |at| at.timestamp_micros());
    format!("budget_changed:{set_at}")
}

/// What of the mailbox is never imported. What is newly left out disappears from search and answers;
/// what is taken back is fetched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct ImportScope {
    /// Labels of the mailbox, by name.
    pub labels: Vec<String>,
    pub never_senders: Vec<String>,
    /// Of senders; what stands below a domain is left out with it.
    pub never_domains: Vec<String>,
}

/// "This user has changed what is imported."
#[derive(Debug, Serialize, Deserialize)]
pub struct ScopeChanged {}

impl Payload for ScopeChanged {
    const KIND: &'static str = "apply_import_scope";
    // Somebody looks whether it has disappeared.
    const PRIORITY: Priority = Priority::Interactive;
}
