//! Contacts and notes in HubSpot: a contact is known again by its address, a note by the mark at its end.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::action::{CreateContact, CreateNote, UpdateContact};
use super::{Found, Notes, Outward, SendError, send_error, store};
use crate::db::UserScope;
use crate::identity::connections::{Grant, Provider};
use crate::providers::hubspot::HubSpot;
use crate::providers::hubspot::crm::{Created, Kinds};
use crate::providers::{Error, Kind};
use crate::state::App;

/// The user's portal.
struct Portal<'a> {
    hubspot: &'a HubSpot,
    grant: Grant,
}

impl<'a> Portal<'a> {
    fn open(app: &'a App, scope: UserScope) -> anyhow::Result<Self> {
        Ok(Self {
            hubspot: app.hubspot.as_deref().context("HubSpot isn't configured")?,
            grant: Grant::new(app, scope, Provider::HubSpot),
        })
    }

    /// The note on this contact that carries the mark.
    async fn marked(&self, contact_id: &str, mark: &str) -> Result<Option<String>, Error> {
        let ids = self.hubspot.crm.notes_of(&self.grant, contact_id).await?;
        let notes = self
            .hubspot
            .crm
            .get_all(&self.grant, Kinds::Notes, &ids, &[])
            .await?;
        let is_it = |note: &crate::providers::hubspot::crm::Record| {
            note.property("hs_note_body")
                .is_some_and(|body| body.contains(mark))
        };
        Ok(notes.items.into_iter().find(is_it).map(|note| note.id))
    }
}

/// Short enough to be read past, long enough to be nobody else's.
fn mark(key: &str) -> String {
    let short: String = key.chars().take(16).collect();
    format!("Paraplanner {short}")
}

fn body(text: &str, key: &str) -> String {
    let text = html_escape::encode_text(text).replace('\n', "<br>");
    format!("<p>{text}</p><p><small>{}</small></p>", mark(key))
}

impl CreateContact {
    fn properties(&self) -> BTreeMap<String, String> {
        let mut properties = BTreeMap::from([("email".to_owned(), self.email.clone())]);
        let mut add = |name: &str, value: &str| {
            if !value.is_empty() {
                properties.insert(name.to_owned(), value.to_owned());
            }
        };
        if let Some(name) = &self.name {
            // HubSpot has two fields; the last word is the family's, as far as one can tell.
            let (first, last) = name.rsplit_once(' ').unwrap_or((name, ""));
            add("firstname", first.trim());
            add("lastname", last.trim());
        }
        add("phone", self.phone.as_deref().unwrap_or_default());
        add("company", self.company.as_deref().unwrap_or_default());
        properties
    }
}

impl Outward<App> for CreateContact {
    const ACTION: &'static str = "create_contact";

    async fn send(&self, app: &App, key: &str, notes: &mut Notes) -> Result<Value, SendError> {
        let portal = Portal::open(app, notes.scope()).map_err(SendError::Refused)?;
        let crm = &portal.hubspot.crm;
        let known = notes.noted().cloned();
        let (id, existed) = match known {
            Some(known) => (
                known["contact_id"].as_str().unwrap_or_default().to_owned(),
                known["existed"] == true,
            ),
            None => {
                let created = crm.create_contact(&portal.grant, &self.properties()).await;
                match created.map_err(send_error)? {
                    Created::New(id) => (id, false),
                    // By an earlier try whose answer was lost, or by somebody.
                    Created::Exists(id) => (id, !notes.is_again()),
                }
            }
        };
        notes
            .note(json!({"contact_id": id, "existed": existed}))
            .await?;
        let mut result = json!({"contact_id": id, "existed": existed});
        if let Some(text) = self.note.as_deref().filter(|text| !text.is_empty()) {
            let before = if notes.is_again() {
                portal.marked(&id, &mark(key)).await.map_err(send_error)?
            } else {
                None
            };
            let note = match before {
                Some(note) => note,
                None => crm
                    .create_note(&portal.grant, &id, &body(text, key), app.clock.now())
                    .await
                    .map_err(send_error)?,
            };
            result["note_id"] = json!(note);
        }
        Ok(result)
    }

    async fn find(&self, app: &App, key: &str, notes: &Notes) -> anyhow::Result<Found> {
        let portal = Portal::open(app, notes.scope())?;
        let Some(known) = notes.noted() else {
            // Made again, HubSpot says that it is there.
            return Ok(Found::NotDone);
        };
        if self.note.as_deref().is_none_or(str::is_empty) {
            return Ok(Found::Done(known.clone()));
        }
        let id = known["contact_id"].as_str().unwrap_or_default();
        Ok(match portal.marked(id, &mark(key)).await? {
            Some(note) => {
                let mut result = known.clone();
                result["note_id"] = json!(note);
                Found::Done(result)
            }
            None => Found::NotDone,
        })
    }
}

impl Outward<App> for UpdateContact {
    const ACTION: &'static str = "update_contact";

    async fn send(&self, app: &App, _: &str, notes: &mut Notes) -> Result<Value, SendError> {
        let portal = Portal::open(app, notes.scope()).map_err(SendError::Refused)?;
        let properties = self
            .changes
            .iter()
            .map(|change| (change.property.clone(), change.to.clone()))
            .collect();
        portal
            .hubspot
            .crm
            .update(
                &portal.grant,
                Kinds::Contacts,
                &self.contact_id,
                &properties,
            )
            .await
            .map_err(send_error)?;
        Ok(json!({"contact_id": self.contact_id}))
    }

    async fn find(&self, _: &App, _: &str, _: &Notes) -> anyhow::Result<Found> {
        // The same values written twice are written once.
        Ok(Found::NotDone)
    }
}

/// Puts a contact or a note away.
pub(super) async fn archive(
    app: &App,
    scope: UserScope,
    kind: &str,
    id: &str,
) -> Result<(), SendError> {
    let portal = Portal::open(app, scope).map_err(SendError::Refused)?;
    let kind = match kind {
        "contacts" => Kinds::Contacts,
        "notes" => Kinds::Notes,
        _ => return Err(SendError::Refused(anyhow::anyhow!("{kind} isn't archived"))),
    };
    let archived = portal.hubspot.crm.archive(&portal.grant, kind, id).await;
    archived.map_err(send_error)
}

/// What HubSpot has of a contact now, in the order of these names; none when there is no such contact.
pub async fn values_now(
    app: &App,
    scope: UserScope,
    contact_id: &str,
    names: &[String],
) -> Result<Option<Vec<Option<String>>>, Error> {
    let portal = Portal::open(app, scope)
        .map_err(|error| Error::new(Kind::Unavailable, error.to_string()))?;
    let ids = [contact_id.to_owned()];
    let found = portal
        .hubspot
        .crm
        .get_all(&portal.grant, Kinds::Contacts, &ids, names)
        .await?;
    Ok(found
        .items
        .first()
        .map(|record| names.iter().map(|name| record.property(name)).collect()))
}

/// What of a contact isn't as it was when a change was thought of: the property, and its value now.
pub(super) async fn differs(
    app: &App,
    scope: UserScope,
    change: &UpdateContact,
) -> Result<Option<String>, Error> {
    let names: Vec<String> = change
        .changes
        .iter()
        .map(|one| one.property.clone())
        .collect();
    let Some(values) = values_now(app, scope, &change.contact_id, &names).await? else {
        return Ok(Some("the contact is gone".to_owned()));
    };
    Ok(change.changes.iter().zip(values).find_map(|(one, is)| {
        let was = one.from.clone().filter(|text| !text.is_empty());
        (is != was).then(|| format!("{} was changed meanwhile", one.property))
    }))
}

impl CreateNote {
    /// HubSpot's id of the contact: as it was given, or by the address in the book or in HubSpot.
    async fn contact_id(
        &self,
        app: &App,
        scope: UserScope,
        portal: &Portal<'_>,
    ) -> Result<String, SendError> {
        if !self.contact.is_empty() && self.contact.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(self.contact.clone());
        }
        let in_book = async {
            let mut tx = scope.begin(&app.pool).await?;
            let id = store::hubspot_id(&mut tx, &self.contact).await?;
            tx.commit().await?;
            anyhow::Ok(id)
        };
        let in_book = in_book
            .await
            .map_err(|error| SendError::NotDone(error, None))?;
        if let Some(id) = in_book {
            return Ok(id);
        }
        let found = portal
            .hubspot
            .crm
            .id_of_address(&portal.grant, &self.contact)
            .await
            .map_err(|error| SendError::NotDone(error.into(), None))?;
        found.ok_or_else(|| {
            SendError::Refused(anyhow::anyhow!(
                "there is no contact {} in HubSpot",
                self.contact
            ))
        })
    }
}

impl Outward<App> for CreateNote {
    const ACTION: &'static str = "create_note";

    async fn send(&self, app: &App, key: &str, notes: &mut Notes) -> Result<Value, SendError> {
        let scope = notes.scope();
        let portal = Portal::open(app, scope).map_err(SendError::Refused)?;
        let contact_id = match notes.noted() {
            Some(known) => known["contact_id"].as_str().unwrap_or_default().to_owned(),
            None => {
                let id = self.contact_id(app, scope, &portal).await?;
                notes.note(json!({"contact_id": id})).await?;
                id
            }
        };
        let note_id = portal
            .hubspot
            .crm
            .create_note(
                &portal.grant,
                &contact_id,
                &body(&self.text, key),
                app.clock.now(),
            )
            .await
            .map_err(send_error)?;
        Ok(json!({"contact_id": contact_id, "note_id": note_id}))
    }

    async fn find(&self, app: &App, key: &str, notes: &Notes) -> anyhow::Result<Found> {
        let Some(known) = notes.noted() else {
            return Ok(Found::NotDone);
        };
        let portal = Portal::open(app, notes.scope())?;
        let contact_id = known["contact_id"].as_str().unwrap_or_default();
        Ok(match portal.marked(contact_id, &mark(key)).await? {
            Some(note_id) => Found::Done(json!({"contact_id": contact_id, "note_id": note_id})),
            None => Found::NotDone,
        })
    }
}
