//! Whether something may be done without asking. Deny by default: leave by the user's setting or rule,
//! and nothing at all that speaks against it.
//!
//! What speaks against it doesn't depend on what a model says: who was named by the user or takes part in
//! what they pointed at, whose texts were in view, what the words are.

use std::collections::{BTreeSet, HashSet};

use regex::Regex;
use serde::{Deserialize, Serialize};
use std::sync::LazyLock;
use unicode_security::MixedScript as _;
use unicode_security::confusable_detection::skeleton;
use uuid::Uuid;

use super::action::Action;
use super::store;
use crate::book::{Kind, address_key};
use crate::db::Scoped;
use crate::identity::settings::{self, AutoRecipients, Leave, Settings};

/// Changed whenever a verdict could be another than before.
pub(super) const VERSION: i32 = 2;
/// More who read it is unusual.
const MANY: usize = 5;
/// What is done without asking, in an hour.
const MOST_AUTOMATIC: i64 = 60;

/// Within what an action was thought of. Fixed by code from what the user said and pointed at; texts from
/// outside add to what was `seen`, never to who is `named`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Bounds {
    /// Keys of the addresses that the user typed or named, and of those who take part in the one thread
    /// or event that they pointed at.
    pub named: BTreeSet<String>,
    /// What from outside was in view.
    pub seen: Vec<Item>,
    /// What the user said: links in it are theirs.
    pub said: String,
    /// The user marked the rule that causes it: no approval.
    pub rule_is_auto: bool,
    /// The user wants to read it first, whatever else is allowed.
    pub is_draft: bool,
}

/// Something from outside that was in view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = SeenItem)]
pub struct Item {
    pub kind: Kind,
    pub id: Uuid,
    pub title: String,
    /// Keys of the addresses of those who know it anyway.
    pub readers: BTreeSet<String>,
}

impl Bounds {
    /// Adds what came into view; the same again adds its readers' intersection: it was less shared than
    /// was thought.
    pub fn see(&mut self, item: Item) {
        let known = self
            .seen
            .iter_mut()
            .find(|seen| seen.kind == item.kind && seen.id == item.id);
        match known {
            Some(seen) => seen.readers.retain(|reader| item.readers.contains(reader)),
            None => self.seen.push(item),
        }
    }
}

/// Something to look at before allowing it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Risk {
    pub code: String,
    pub text: String,
}

fn risk(code: &str, text: impl Into<String>) -> Risk {
    Risk {
        code: code.to_owned(),
        text: text.into(),
    }
}

/// What follows from all this.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub risks: Vec<Risk>,
    pub automatic: bool,
}

/// What is known of the user and of those whom they know.
pub(super) struct Circle {
    settings: Settings,
    own: BTreeSet<String>,
    known: HashSet<String>,
    /// Skeleton of a known address, for those that only look like it.
    looks: Vec<(String, String)>,
    domains: HashSet<String>,
    own_domains: BTreeSet<String>,
    automatic_lately: i64,
}

impl Circle {
    pub async fn read(
        tx: &mut Scoped,
        since: chrono::DateTime<chrono::Utc>,
    ) -> Result<Self, sqlx::Error> {
        let settings = settings::find(tx).await?;
        let own: BTreeSet<String> = settings::own_addresses(tx)
            .await?
            .iter()
            .map(|address| address_key(address))
            .collect();
        let known: HashSet<String> = store::known_addresses(tx).await?.into_iter().collect();
        let automatic_lately = super::approvals::automatic_since(tx, since).await?;
        Ok(Self::of(settings, own, known, automatic_lately))
    }

    fn of(
        settings: Settings,
        own: BTreeSet<String>,
        known: HashSet<String>,
        automatic_lately: i64,
    ) -> Self {
        let domain = |address: &String| address.rsplit_once('@').map(|(_, d)| d.to_owned());
        Self {
            looks: known
                .iter()
                .chain(&own)
                .map(|address| (look(address), address.clone()))
                .collect(),
            domains: known.iter().filter_map(domain).collect(),
            own_domains: own.iter().filter_map(domain).collect(),
            settings,
            own,
            known,
            automatic_lately,
        }
    }

    fn is_known(&self, key: &str) -> bool {
        self.known.contains(key) || self.own.contains(key)
    }

    /// Whom the settings let be written to without asking.
    fn may_be_told(&self, key: &str) -> bool {
        if self.own.contains(key) {
            return true;
        }
        match self.settings.auto_recipients {
            AutoRecipients::Known => self.known.contains(key),
            AutoRecipients::OwnDomain => key
                .rsplit_once('@')
                .is_some_and(|(_, domain)| self.own_domains.contains(domain)),
            AutoRecipients::Anyone => true,
        }
    }

    pub fn judge(&self, action: &Action, bounds: &Bounds) -> Verdict {
        let mut risks = Vec::new();
        let recipients = action.recipients();
        let keys = action.recipient_keys();
        for (address, key) in recipients.iter().zip(&keys) {
            self.of_recipient(address, key, bounds, &mut risks);
        }
        if let Some(subject) = action.subject() {
            // By HubSpot's number nobody can tell whose record it is.
            let key = address_key(subject);
            if !bounds.named.contains(&key) {
                let words = format!("Neither you nor what you pointed at names {subject}.");
                risks.push(risk("not_named", words));
            }
            self.of_look(subject, &key, &mut risks);
        }
        // An appointment of the user's alone is pointed at by what it is called.
        let is_alone = keys.iter().all(|key| self.own.contains(key));
        if let Some(title) = action.appointment()
            && is_alone
            && !is_spoken_of(title, &bounds.said)
        {
            let words = format!("You didn't speak of “{title}”.");
            risks.push(risk("not_named", words));
        }
        if action.changes_contact_details() {
            let words = "It changes by what somebody is reached.";
            risks.push(risk("contact_details", words));
        }
        self.of_audience(&keys, bounds, &mut risks);
        if recipients.len() > MANY {
            let words = format!("It goes to {} addresses.", recipients.len());
            risks.push(risk("many_recipients", words));
        }
        of_words(&action.words(), &bounds.said, &mut risks);
        if self.automatic_lately >= MOST_AUTOMATIC {
            let words = format!("{MOST_AUTOMATIC} things were done without asking this hour.");
            risks.push(risk("too_many", words));
        }
        let allowed = bounds.rule_is_auto
            || (action.leave(self.settings.autonomy) == Leave::Auto
                && keys.iter().all(|key| self.may_be_told(key)));
        Verdict {
            automatic: allowed && risks.is_empty() && !bounds.is_draft,
            risks,
        }
    }

    fn of_recipient(&self, address: &str, key: &str, bounds: &Bounds, risks: &mut Vec<Risk>) {
        if self.own.contains(key) {
            return;
        }
        if !bounds.named.contains(key) {
            let words = format!("Neither you nor what you pointed at names {address}.");
            risks.push(risk("not_named", words));
        }
        if !self.known.contains(key) {
            let domain = key.rsplit_once('@').map_or("", |(_, domain)| domain);
            if !self.domains.contains(domain) && !self.own_domains.contains(domain) {
                let words = format!("None of your contacts is at {domain}.");
                risks.push(risk("new_domain", words));
            } else {
                let words = format!("{address} is none of your contacts' addresses.");
                risks.push(risk("unknown_recipient", words));
            }
        }
        self.of_look(address, key, risks);
    }

    /// Whether it only looks like somebody's address.
    fn of_look(&self, address: &str, key: &str, risks: &mut Vec<Risk>) {
        if self.is_known(key) {
            return;
        }
        let seen = look(key);
        let twin = self.looks.iter().find(|(look, known)| {
            known != key && (*look == seen || strsim::damerau_levenshtein(look, &seen) == 1)
        });
        if let Some((_, known)) = twin {
            let words = format!("{address} looks like {known}, and isn't it.");
            risks.push(risk("lookalike", words));
        }
        let (unicode, _) = idna::domain_to_unicode(key.rsplit_once('@').map_or("", |(_, d)| d));
        if !unicode.is_ascii() || !address.is_ascii() {
            let mixed = unicode.split('.').any(|label| !label.is_single_script());
            let code = if mixed { "mixed_script" } else { "not_ascii" };
            let words = format!("{address} has characters of another alphabet ({unicode}).");
            risks.push(risk(code, words));
        }
    }

    /// Each recipient must know all that was in view when it was written.
    fn of_audience(&self, keys: &[String], bounds: &Bounds, risks: &mut Vec<Risk>) {
        for item in &bounds.seen {
            let stranger = keys
                .iter()
                .find(|key| !self.own.contains(*key) && !item.readers.contains(*key));
            if let Some(stranger) = stranger {
                let whose = item
                    .readers
                    .iter()
                    .find(|reader| !self.own.contains(*reader))
                    .map_or_else(|| format!("“{}”", item.title), Clone::clone);
                let words = format!(
                    "Uses {} of {whose} ({}), goes to {stranger}.",
                    item.kind.name(),
                    item.title
                );
                risks.push(risk("audience", words));
                if risks.iter().filter(|risk| risk.code == "audience").count() >= 5 {
                    return;
                }
            }
        }
    }
}

/// Whether the user's words have a word of a title.
fn is_spoken_of(title: &str, said: &str) -> bool {
    let words = |text: &str| {
        text.to_lowercase()
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| word.chars().count() > 3)
            .map(str::to_owned)
            .collect::<HashSet<String>>()
    };
    !words(title).is_disjoint(&words(said))
}

/// What an address looks like to a reader.
fn look(address: &str) -> String {
    let (local, domain) = address.rsplit_once('@').unwrap_or(("", address));
    let (domain, _) = idna::domain_to_unicode(domain);
    let shown = format!("{local}@{domain}").to_lowercase();
    // What the tables don't hold, because it is two letters that look like one.
    let shown = shown.replace("rn", "m").replace("vv", "w");
    let shown: String = skeleton(&shown).collect();
    shown.replace('1', "l").replace('0', "o")
}

static LINK: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)\b(?:https?://|www\.)[^\s<>()\[\]]+").expect("a constant expression")
});
static SENSITIVE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?ix)\b(?: wire\s+(?:transfer|instructions|funds?|the) | bank\s+(?:account|details) | iban | swift\s+code
            | routing\s+number | account\s+number | sort\s+code | gift\s+cards? | bitcoin | crypto\s+wallet
            | pass(?:word|code|phrase)s? | one[-\s]time\s+(?:code|password) | verification\s+code
            | social\s+security | ssn | credit\s+card | login\s+credentials | \bpin\s+(?:code|number) )\b",
    )
    .expect("a constant expression")
});

/// What words it has that its readers could be harmed by.
fn of_words(words: &str, said: &str, risks: &mut Vec<Risk>) {
    for link in LINK.find_iter(words) {
        let link = link.as_str().trim_end_matches(['.', ',', ';', '!', '?']);
        if !said.contains(link) {
            risks.push(risk(
                "link",
                format!("It has a link that isn't yours: {link}"),
            ));
            break;
        }
    }
    if let Some(found) = SENSITIVE.find(words) {
        let words = format!(
            "It speaks of payments or credentials: “{}”.",
            found.as_str()
        );
        risks.push(risk("sensitive", words));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::identity::settings::Autonomy;

    fn circle(leave: Leave, told: AutoRecipients) -> Circle {
        let settings = Settings {
            autonomy: Autonomy {
                send_email: leave,
                create_event: leave,
                write_crm: leave,
            },
            auto_recipients: told,
            ..Settings::default()
        };
        let own = BTreeSet::from(["ann@advisors.example".to_owned()]);
        let known = ["sara@example.com", "tom@firm.example", "paul@example.com"];
        Circle::of(settings, own, known.map(str::to_owned).into(), 0)
    }

    fn mail(to: &str, text: &str) -> Action {
        let input = json!({"to": [to], "subject": "Hello", "text": text});
        Action::of("send_email", &input).unwrap()
    }

    fn named(addresses: &[&str]) -> Bounds {
        Bounds {
            named: addresses.iter().map(|one| address_key(one)).collect(),
            ..Bounds::default()
        }
    }

    fn codes(verdict: &Verdict) -> Vec<&str> {
        verdict
            .risks
            .iter()
            .map(|risk| risk.code.as_str())
            .collect()
    }

    #[test]
    fn it_goes_out_alone_only_if_all_holds() {
        let auto = circle(Leave::Auto, AutoRecipients::Known);
        let bounds = named(&["sara@example.com"]);
        let plain = mail("sara@example.com", "Tuesday at ten?");
        assert!(auto.judge(&plain, &bounds).automatic);
        let asks = circle(Leave::Ask, AutoRecipients::Anyone);
        assert!(!asks.judge(&plain, &bounds).automatic);
        assert!(asks.judge(&plain, &bounds).risks.is_empty());
        // Not named: text from outside could have put it there.
        let other = mail("tom@firm.example", "Tuesday at ten?");
        let verdict = auto.judge(&other, &bounds);
        assert_eq!(
            (verdict.automatic, codes(&verdict)),
            (false, vec!["not_named"])
        );
        for (text, code) in [
            ("See https://evil.example/login", "link"),
            ("See www.evil.example", "link"),
            ("Please wire the funds to this IBAN", "sensitive"),
            ("Send me your password", "sensitive"),
        ] {
            let verdict = auto.judge(&mail("sara@example.com", text), &bounds);
            assert_eq!((verdict.automatic, codes(&verdict)), (false, vec![code]));
        }
        let mut own_link = bounds.clone();
        "Send her https://firm.example/a".clone_into(&mut own_link.said);
        let linked = mail("sara@example.com", "Here: https://firm.example/a.");
        assert!(auto.judge(&linked, &own_link).automatic);
    }

    #[test]
    fn what_looks_like_somebody_is_said() {
        let auto = circle(Leave::Auto, AutoRecipients::Anyone);
        for address in [
            "sara@examp1e.com",
            "sara@exarnple.com",
            "sara@exampel.com",
            "sara@xn--exmple-cua.com",
            "sarа@example.com",
        ] {
            let action = mail(address, "Hi");
            let verdict = auto.judge(&action, &named(&[address]));
            let codes = codes(&verdict);
            assert!(!verdict.automatic, "{address}");
            assert!(
                codes.contains(&"lookalike") || codes.contains(&"mixed_script"),
                "{address}: {codes:?}"
            );
        }
    }

    #[test]
    fn one_clients_words_dont_go_to_another() {
        let auto = circle(Leave::Auto, AutoRecipients::Known);
        let mut bounds = named(&["sara@example.com"]);
        bounds.see(Item {
            kind: Kind::Email,
            id: Uuid::from_u128(1),
            title: "Divorce".to_owned(),
            readers: [
                "tom@firm.example".to_owned(),
                "ann@advisors.example".to_owned(),
            ]
            .into(),
        });
        let verdict = auto.judge(&mail("sara@example.com", "Hi"), &bounds);
        assert_eq!(codes(&verdict), ["audience"]);
        assert!(verdict.risks[0].text.contains("tom@firm.example"));
        assert!(verdict.risks[0].text.contains("goes to sara@example.com"));
        bounds.seen[0].readers.insert("sara@example.com".to_owned());
        assert!(
            auto.judge(&mail("sara@example.com", "Hi"), &bounds)
                .automatic
        );
    }

    #[test]
    fn a_rules_leave_is_no_leave_for_everything() {
        let asks = circle(Leave::Ask, AutoRecipients::Known);
        let mut bounds = named(&["sara@example.com"]);
        bounds.rule_is_auto = true;
        assert!(
            asks.judge(&mail("sara@example.com", "Hi"), &bounds)
                .automatic
        );
        assert!(
            !asks
                .judge(&mail("tom@firm.example", "Hi"), &bounds)
                .automatic
        );
    }

    #[test]
    fn whose_record_and_which_appointment_is_the_users_word() {
        let auto = circle(Leave::Auto, AutoRecipients::Known);
        let bounds = Bounds {
            said: "Cancel the dentist, and note it on Sara".to_owned(),
            ..named(&["sara@example.com"])
        };
        let judged = |name: &str, input| {
            let action = Action::of(name, &input).unwrap();
            let verdict = auto.judge(&action, &bounds);
            assert_eq!(verdict.automatic, verdict.risks.is_empty());
            verdict.automatic
        };
        let note = |contact: &str| json!({"contact": contact, "text": "Tea"});
        assert!(judged("create_note", note("sara@example.com")));
        // Known, and not named; and by a number.
        assert!(!judged("create_note", note("tom@firm.example")));
        assert!(!judged("create_note", note("51")));
        let change = |address: Option<&str>, property: &str| {
            json!({"contact_id": "51", "name": "X", "address": address,
                "changes": [{"property": property, "to": "y"}]})
        };
        assert!(judged(
            "update_contact",
            change(Some("sara@example.com"), "city")
        ));
        assert!(!judged(
            "update_contact",
            change(Some("sara@example.com"), "email")
        ));
        assert!(!judged(
            "update_contact",
            change(Some("tom@firm.example"), "city")
        ));
        assert!(!judged("update_contact", change(None, "city")));
        let cancel = |title: &str| json!({"event_id": "e", "title": title});
        assert!(judged("cancel_event", cancel("Dentist")));
        assert!(!judged("cancel_event", cancel("Board meeting")));
    }
}
