//! Refusals of the CRM as values, so that a batch can list them and a single call can answer them.

use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::kind::Kind;
use super::reply;

#[derive(Clone, Debug)]
pub(super) struct Wrong {
    pub status: u16,
    category: &'static str,
    message: String,
    errors: Vec<Value>,
    context: Value,
}

impl Wrong {
    fn new(status: u16, category: &'static str, message: String) -> Self {
        Self {
            status,
            category,
            message,
            errors: Vec::new(),
            context: json!({}),
        }
    }

    pub fn validation(message: &str) -> Self {
        Self::new(400, "VALIDATION_ERROR", message.to_owned())
    }

    /// A value that this property can't have. The message is JSON text inside of text, as seen.
    pub fn property(code: &'static str, name: &str) -> Self {
        let detail = json!([{"isValid": false, "message": format!("{name} was not valid"),
                             "error": code, "name": name}]);
        let mut wrong = Self::validation(&format!("Property values were not valid: {detail}"));
        wrong.errors.push(json!({
            "message": format!("{name} was not valid"), "code": code,
            "context": {"propertyName": [name]},
        }));
        wrong
    }

    /// The id of the other contact is only in the text.
    pub fn conflict(id: u64) -> Self {
        let message = format!("Contact already exists. Existing ID: {id}");
        Self::new(409, "CONFLICT", message)
    }

    pub fn not_found(kind: Kind, id: &(impl ToString + ?Sized)) -> Self {
        let message = format!("No {} with this id exists.", kind.singular());
        let mut wrong = Self::new(404, "OBJECT_NOT_FOUND", message);
        wrong.context = json!({"ids": [id.to_string()]});
        wrong
    }

    /// No such path.
    pub fn nowhere() -> Self {
        Self::new(404, "OBJECT_NOT_FOUND", "resource not found".to_owned())
    }

    pub fn unsupported() -> Self {
        let message = "The content type of the request must be application/json";
        Self::new(415, "UNSUPPORTED_MEDIA_TYPE", message.to_owned())
    }

    /// As an entry of a multi-status reply.
    pub fn entry(&self, trace: Option<&Value>) -> Value {
        let mut entry = json!({
            "status": "error", "category": self.category, "message": self.message,
            "errors": self.errors, "context": self.context, "links": {},
        });
        if let Some(trace) = trace {
            entry["context"]["objectWriteTraceId"] = json!([trace]);
        }
        entry
    }
}

impl IntoResponse for Wrong {
    fn into_response(self) -> Response {
        let mut body = json!({
            "status": "error", "message": self.message, "correlationId": crate::ids::next(),
            "category": self.category,
        });
        if !self.errors.is_empty() {
            body["errors"] = json!(self.errors);
        }
        if self.context != json!({}) {
            body["context"] = self.context;
        }
        reply(self.status, body)
    }
}
