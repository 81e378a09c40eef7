//! What of the mailbox is never imported: labels, senders, domains, as the user set them.
//!
//! A mail is left out when it carries such a label, when such a sender wrote it, or when the user wrote
//! it to nobody but such people: their words stand quoted in it. It stays known with the part of the
//! scope that left it out, so that it isn't fetched again, and is, when that part is taken back.

use std::collections::{HashMap, HashSet};

use super::feed::{Entry, What};
use super::gmail::{ID_PAGE, QUERY};
use super::keep::{self, Also};
use super::{Source, items, store};
use crate::db::UserScope;
use crate::identity::connections::Grant;
use crate::identity::settings;
use crate::ingest::files::Email;
use crate::providers::google::gmail::Search;
use crate::providers::{Error, Kind};
use crate::state::App;
use crate::tasks::{Context, Failure, OrFailure as _};

/// Mails looked at in one round trip.
const AT_ONCE: i64 = 500;

/// The user's scope, ready to judge by.
#[derive(Debug, Default)]
pub(super) struct Exclusions {
    /// By the label's id in the mailbox: as the user calls it.
    labels: HashMap<String, String>,
    senders: HashSet<String>,
    domains: Vec<String>,
    own: HashSet<String>,
}

impl Exclusions {
    /// Labels are the mailbox's business, so it is asked for them, if there are any to be left out.
    pub async fn load(app: &App, scope: UserScope, grant: Option<&Grant>) -> Result<Self, Error> {
        let (wanted, own) = stored(app, scope)
            .await
            .map_err(|error| Error::new(Kind::Unavailable, format!("the database: {error}")))?;
        let mut labels = HashMap::new();
        if let (Some(grant), Some(google), false) =
            (grant, app.google.as_ref(), wanted.labels.is_empty())
        {
            for label in google.gmail.labels(grant).await? {
                let named = wanted.labels.iter().find(|name| {
                    name.eq_ignore_ascii_case(&label.id)
                        || name.to_lowercase() == label.name.to_lowercase()
                });
                if let Some(name) = named {
                    labels.insert(label.id, name.clone());
                }
            }
        }
        Ok(Self {
            labels,
            senders: wanted.never_senders.into_iter().collect(),
            domains: wanted.never_domains,
            own: own.into_iter().collect(),
        })
    }

    /// Which label leaves it out.
    pub fn of_labels(&self, labels: &[String]) -> Option<String> {
        let name = labels.iter().find_map(|id| self.labels.get(id))?;
        Some(format!("label:{name}"))
    }

    pub fn of_mail(&self, mail: &Email) -> Option<String> {
        let recipients = [&mail.to, &mail.cc, &mail.bcc];
        self.of_people(
            mail.from.as_ref().map(|from| from.address.as_str()),
            recipients
                .into_iter()
                .flatten()
                .map(|mailbox| mailbox.address.as_str()),
        )
    }

    fn of_people<'a>(
        &self,
        from: Option<&str>,
        to: impl Iterator<Item = &'a str>,
    ) -> Option<String> {
        let from = from?.to_lowercase();
        if !self.own.contains(&from) {
            return self.of_address(&from);
        }
        let mut reason = None;
        for address in to {
            let address = address.to_lowercase();
            if !self.own.contains(&address) {
                reason = Some(self.of_address(&address)?);
            }
        }
        reason
    }

    fn of_address(&self, address: &str) -> Option<String> {
        if self.senders.contains(address) {
            return Some(format!("sender:{address}"));
        }
        let (_, domain) = address.rsplit_once('@')?;
        let below = |parent: &&String| {
            domain == **parent
                || domain
                    .strip_suffix(parent.as_str())
                    .is_some_and(|rest| rest.ends_with('.'))
        };
        let domain = self.domains.iter().find(below)?;
        Some(format!("domain:{domain}"))
    }

    /// Every part of the scope, in the words of [`Exclusions::of_address`] and its like.
    fn parts(&self) -> Vec<String> {
        let labels = self.labels.values().map(|name| format!("label:{name}"));
        let senders = self.senders.iter().map(|sender| format!("sender:{sender}"));
        let domains = self.domains.iter().map(|domain| format!("domain:{domain}"));
        labels.chain(senders).chain(domains).collect()
    }
}

async fn stored(
    app: &App,
    scope: UserScope,
) -> Result<(settings::ImportScope, Vec<String>), sqlx::Error> {
    let mut tx = scope.begin(&app.pool).await?;
    let wanted = settings::find(&mut tx).await?.import_scope;
    let own = settings::own_addresses(&mut tx).await?;
    tx.commit().await?;
    Ok((wanted, own))
}

/// Brings what is stored to the scope: what is newly left out goes, what was taken back is fetched by
/// the next walk, which this asks for. Without a grant, labels have to wait.
pub(super) async fn apply(context: &Context<App>, grant: Option<&Grant>) -> Result<(), Failure> {
    let app = &context.app;
    let exclusions = Exclusions::load(app, context.scope, grant).await;
    let exclusions = match grant {
        Some(grant) => grant.or_wait(context, exclusions).await?,
        None => exclusions.or_retry()?,
    };
    if grant.is_some() {
        let mut tx = context.begin().await?;
        let name = Source::Gmail.name();
        if items::readmit(&mut tx, name, &exclusions.parts())
            .await
            .or_retry()?
        {
            store::ask_for_walk(&mut tx, name).await.or_retry()?;
        }
        tx.commit().await.or_retry()?;
    }
    people(context, &exclusions).await?;
    if let Some(grant) = grant {
        labels(context, grant, &exclusions).await?;
    }
    Ok(())
}

/// Removes stored mail that is left out because of who wrote it.
async fn people(context: &Context<App>, exclusions: &Exclusions) -> Result<(), Failure> {
    if exclusions.senders.is_empty() && exclusions.domains.is_empty() {
        return Ok(());
    }
    let senders: Vec<String> = exclusions.senders.iter().cloned().collect();
    let mut after = String::new();
    loop {
        let mut tx = context.scope.begin(&context.app.pool).await.or_retry()?;
        let touched = items::mails_with(&mut tx, &senders, &exclusions.domains, &after, AT_ONCE)
            .await
            .or_retry()?;
        drop(tx);
        let Some(last) = touched.last() else {
            return Ok(());
        };
        after.clone_from(&last.external_id);
        let entries = touched
            .into_iter()
            .filter_map(|mail| {
                let to = mail.recipients.iter().map(String::as_str);
                let reason = exclusions.of_people(mail.sender.as_deref(), to)?;
                Some(Entry::new(mail.external_id, None, What::Excluded(reason)))
            })
            .collect();
        keep::keep(context, Source::Gmail, entries, Also::default()).await?;
    }
}

/// Removes stored mail that carries a label which is left out.
async fn labels(
    context: &Context<App>,
    grant: &Grant,
    exclusions: &Exclusions,
) -> Result<(), Failure> {
    let Some(google) = context.app.google.as_ref() else {
        return Ok(());
    };
    for (id, name) in &exclusions.labels {
        let search = Search {
            query: QUERY,
            label: Some(id),
            page_size: ID_PAGE,
        };
        let mut page = None;
        let mut passed = HashSet::new();
        loop {
            let listed = google.gmail.list(grant, &search, page.as_deref()).await;
            let listed = grant.or_wait(context, listed).await?;
            let entries = listed
                .items
                .into_iter()
                .map(|mail| Entry::new(mail.id, None, What::Excluded(format!("label:{name}"))))
                .collect();
            keep::keep(context, Source::Gmail, entries, Also::default()).await?;
            page = listed.next.filter(|next| passed.insert(next.clone()));
            if page.is_none() {
                break;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exclusions() -> Exclusions {
        Exclusions {
            labels: HashMap::from([("Label_7".to_owned(), "Newsletters".to_owned())]),
            senders: HashSet::from(["mother@family.example".to_owned()]),
            domains: vec!["gossip.example".to_owned()],
            own: HashSet::from(["me@firm.example".to_owned()]),
        }
    }

    fn judged(from: &str, to: &[&str]) -> Option<String> {
        exclusions().of_people(Some(from), to.iter().copied())
    }

    #[test]
    fn what_such_people_write_is_left_out() {
        assert_eq!(
            judged("Mother@Family.example", &["me@firm.example"]).as_deref(),
            Some("sender:mother@family.example")
        );
        assert_eq!(
            judged("x@daily.gossip.example", &["me@firm.example"]).as_deref(),
            Some("domain:gossip.example")
        );
        assert_eq!(judged("x@notgossip.example", &["me@firm.example"]), None);
        assert_eq!(judged("client@example.com", &["x@gossip.example"]), None);
    }

    #[test]
    fn what_is_written_to_them_alone_is_left_out() {
        assert!(judged("me@firm.example", &["x@gossip.example", "me@firm.example"]).is_some());
        assert!(judged("me@firm.example", &["x@gossip.example", "ann@example.com"]).is_none());
        assert!(judged("me@firm.example", &["me@firm.example"]).is_none());
        assert!(judged("me@firm.example", &[]).is_none());
    }

    #[test]
    fn labels_are_known_by_their_ids() {
        let labels = ["INBOX".to_owned(), "Label_7".to_owned()];
        assert_eq!(
            exclusions().of_labels(&labels).as_deref(),
            Some("label:Newsletters")
        );
        assert_eq!(exclusions().of_labels(&labels[..1]), None);
    }
}
