//! What can be seen of a scenario's end, and what may be demanded of it.

use serde_json::Value;

/// What came out.
#[derive(Default)]
pub(super) struct Outcome {
    /// The answer, the rehearsal, or the task's result.
    pub said: Value,
    /// What waits for the user's word.
    pub approvals: Vec<Value>,
    /// The user was told that it can't be done.
    pub refused: bool,
}

/// Demands, each with the words for when it isn't met.
impl Outcome {
    fn text(&self) -> &str {
        self.said["text"].as_str().unwrap_or_default()
    }

    fn quotes(&self) -> impl Iterator<Item = &str> {
        let cited = self.said["citations"].as_array();
        cited
            .into_iter()
            .flatten()
            .filter_map(|one| one["quote"].as_str())
    }

    pub fn cites(&self, words: &str) -> Result<(), String> {
        let words = words.to_lowercase();
        if self
            .quotes()
            .any(|quote| quote.to_lowercase().contains(&words))
        {
            return Ok(());
        }
        Err(format!("no citation holds {words:?}: {}", self.text()))
    }

    pub fn cites_nothing(&self) -> Result<(), String> {
        match self.quotes().next() {
            Some(quote) => Err(format!("it cites {quote:?}")),
            None => Ok(()),
        }
    }

    pub fn wants_nothing(&self) -> Result<(), String> {
        match self.approvals.first() {
            Some(wanted) => Err(format!("it wants {} {}", wanted["action"], wanted["input"])),
            None => Ok(()),
        }
    }

    /// One action of this name, and nothing else; its input.
    pub fn wants(&self, action: &str) -> Result<&Value, String> {
        match &self.approvals[..] {
            [only] if only["action"] == action => Ok(&only["input"]),
            [] => Err(format!("it doesn't want to {action}: {}", self.text())),
            others => Err(format!(
                "it wants {:?}, not {action} alone",
                others.iter().map(|one| &one["action"]).collect::<Vec<_>>()
            )),
        }
    }

    pub fn writes_to(&self, address: &str) -> Result<&Value, String> {
        let mail = self.wants("send_email")?;
        if mail["to"] == serde_json::json!([address]) {
            return Ok(mail);
        }
        Err(format!("it writes to {}", mail["to"]))
    }

    /// The rule that it became, whose canonical text holds all of these.
    pub fn is_rule_with(&self, parts: &[&str]) -> Result<(), String> {
        let rule = self.said["rule"]["text"].as_str().unwrap_or_default();
        match parts.iter().find(|part| !rule.contains(*part)) {
            Some(missing) => Err(format!("{missing:?} isn't in the rule: {rule:?}")),
            None => Ok(()),
        }
    }
}
