//! What happened in a portal, and how a webhook words it.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::APP_ID;
use super::kind::Kind;
use super::store::End;

/// Who caused a change, as events tell it.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub name: &'static str,
    pub id: String,
}

impl Source {
    /// Our own app's calls.
    pub fn app() -> Self {
        Self {
            name: "INTEGRATION",
            id: APP_ID.to_string(),
        }
    }

    /// Somebody at the keyboard.
    pub fn user() -> Self {
        Self {
            name: "CRM_UI",
            id: "userId:9001".to_owned(),
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Event {
    pub kind: Kind,
    pub id: u64,
    pub at: DateTime<Utc>,
    pub source: Source,
    pub change: Change,
}

#[derive(Clone, Debug)]
pub(super) enum Change {
    Creation,
    Deletion,
    PrivacyDeletion,
    Property {
        name: String,
        value: String,
    },
    Merge {
        primary: u64,
        merged: Vec<u64>,
        moved: u64,
    },
    Association {
        to: End,
        removed: bool,
        type_id: u32,
    },
}

impl Event {
    const fn verb(&self) -> &'static str {
        match self.change {
            Change::Creation => "creation",
            Change::Deletion => "deletion",
            Change::PrivacyDeletion => "privacyDeletion",
            Change::Property { .. } => "propertyChange",
            Change::Merge { .. } => "merge",
            Change::Association { .. } => "associationChange",
        }
    }

    /// Such as `contact.creation`, or `object.creation` in the generic form. Notes exist in the
    /// generic form alone, erasure in the classic one alone.
    pub fn subscription(&self, generic: bool) -> String {
        let erasure = matches!(self.change, Change::PrivacyDeletion);
        let whose = if (generic || self.kind == Kind::Note) && !erasure {
            "object"
        } else {
            self.kind.singular()
        };
        format!("{whose}.{}", self.verb())
    }

    /// As it is sent, but for what the delivery knows: event, subscription and attempt.
    pub fn body(&self, portal: u64, subscription: &str) -> Value {
        let generic = subscription.starts_with("object.");
        let mut body = json!({
            "portalId": portal, "appId": APP_ID, "occurredAt": self.at.timestamp_millis(),
            "subscriptionType": subscription, "objectId": self.id,
            "changeSource": self.source.name, "sourceId": self.source.id,
        });
        if generic {
            body["objectTypeId"] = json!(self.kind.type_id());
        }
        match &self.change {
            Change::Creation => {
                body["changeFlag"] = json!(if generic { "CREATED" } else { "NEW" });
            }
            Change::Deletion | Change::PrivacyDeletion => body["changeFlag"] = json!("DELETED"),
            Change::Property { name, value } => {
                body["propertyName"] = json!(name);
                body["propertyValue"] = json!(value);
                if generic {
                    body["isSensitive"] = json!(false);
                }
            }
            Change::Merge {
                primary,
                merged,
                moved,
            } => {
                body["primaryObjectId"] = json!(primary);
                body["mergedObjectIds"] = json!(merged);
                body["newObjectId"] = json!(self.id);
                body["numberOfPropertiesMoved"] = json!(moved);
            }
            Change::Association {
                to,
                removed,
                type_id,
            } => {
                let (from, name) = (self.kind.singular(), to.0.singular());
                let name = format!("{from}_to_{name}").to_uppercase();
                body["associationType"] = json!(name);
                body["fromObjectId"] = json!(self.id);
                body["toObjectId"] = json!(to.1);
                body["associationRemoved"] = json!(removed);
                body["isPrimaryAssociation"] = json!(false);
                if generic {
                    body["fromObjectTypeId"] = json!(self.kind.type_id());
                    body["toObjectTypeId"] = json!(to.0.type_id());
                    body["associationTypeId"] = json!(type_id);
                    body["associationCategory"] = json!("HUBSPOT_DEFINED");
                }
                if let Some(body) = body.as_object_mut() {
                    body.remove("objectId");
                }
            }
        }
        body
    }
}
