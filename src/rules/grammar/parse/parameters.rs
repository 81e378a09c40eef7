//! An action's parameters, each read as what it is.

use super::super::action::Action;
use super::super::due::Due;
use super::super::error::Fault;
use super::super::template::Template;
use super::super::vocabulary::{ActionName, Field, Priority, TaskKind};
use super::input::Literal;

/// What was written behind an action's name, until each part is taken for what it is.
pub struct Given<'a> {
    /// Of the action's name.
    pub at: usize,
    pub name: ActionName,
    /// With the text right behind the name, as `text`.
    pub parameters: Vec<(&'static str, Literal)>,
    pub fields: &'a [Field],
}

impl Given<'_> {
    pub fn into_action(mut self) -> Result<Action, Fault> {
        let action = match self.name {
            ActionName::Log => Action::Log {
                text: self.template("text")?,
            },
            ActionName::CreateTask => Action::CreateTask {
                kind: self.kind()?,
                priority: self.priority()?,
                title: self.template("title")?,
                due: self.due()?,
            },
            ActionName::CreateContact => Action::CreateContact {
                name: self.template("name")?,
                email: self.address("email")?,
                note: self.template("note")?,
            },
            ActionName::CreateNote => Action::CreateNote {
                text: self.template("text")?,
                contact: self.template("contact")?,
            },
            ActionName::DraftReply => Action::DraftReply {
                instructions: self.template("text")?,
            },
            ActionName::SendEmail => Action::SendEmail {
                template: self.stored_template()?,
                to: self.address("to")?,
                subject: self.template("subject")?,
                text: self.template("text")?,
            },
            ActionName::AskAssistant => Action::AskAssistant {
                text: self.request()?,
            },
        };
        Ok(action)
    }

    fn take(&mut self, parameter: &str) -> Option<Literal> {
        let mut names = self.parameters.iter();
        let place = names.position(|(name, _)| *name == parameter)?;
        Some(self.parameters.swap_remove(place).1)
    }

    /// What an action can't be without; its absence is told at the action's name.
    fn required(&mut self, parameter: &str) -> Result<Literal, Fault> {
        self.take(parameter).ok_or_else(|| {
            let sentence = format!("{} wants a {parameter}=", self.name);
            Fault::says(self.at, sentence).finding(self.name.name())
        })
    }

    fn template(&mut self, parameter: &str) -> Result<Option<Template>, Fault> {
        let value = self.take(parameter);
        value.map(|value| self.read(&value)).transpose()
    }

    fn read(&self, value: &Literal) -> Result<Template, Fault> {
        let letters = value.letters.iter();
        let chars: Vec<_> = letters.map(|letter| (letter.at, letter.char)).collect();
        Template::read(&chars, self.fields)
    }

    fn kind(&mut self) -> Result<TaskKind, Fault> {
        let known: Vec<&str> = TaskKind::ALL.iter().map(|kind| kind.name()).collect();
        let value = self
            .required("type")
            .map_err(|fault| fault.expecting(&known))?;
        let written = value.text();
        TaskKind::parse(&written)
            .ok_or_else(|| Fault::unknown(value.at, &written, "type of task", &known))
    }

    fn priority(&mut self) -> Result<Priority, Fault> {
        let Some(value) = self.take("priority") else {
            return Ok(Priority::default());
        };
        let written = value.text();
        let known: Vec<&str> = Priority::ALL
            .iter()
            .map(|priority| priority.name())
            .collect();
        Priority::parse(&written)
            .ok_or_else(|| Fault::unknown(value.at, &written, "priority", &known))
    }

    fn due(&mut self) -> Result<Option<Due>, Fault> {
        let Some(value) = self.take("due") else {
            return Ok(None);
        };
        let written = value.text();
        let forms = [
            "30m",
            "2h",
            "3d",
            "1w",
            "an ISO 8601 duration of at most ten years",
        ];
        let due = Due::parse(&written).ok_or_else(|| {
            Fault::unknown(value.at, &written, "span of time", &[]).expecting(&forms)
        })?;
        Ok(Some(due))
    }

    /// What is written out in full is checked now; what a placeholder brings can't be.
    fn address(&mut self, parameter: &str) -> Result<Option<Template>, Fault> {
        let Some(value) = self.take(parameter) else {
            return Ok(None);
        };
        let template = self.read(&value)?;
        let written = value.text();
        let is_part = |part: &str| {
            let strange = |c: char| c.is_whitespace() || matches!(c, '@' | ',' | ';');
            !part.is_empty() && !part.contains(strange)
        };
        let parts = written.split_once('@');
        let is_address = parts.is_some_and(|(local, domain)| is_part(local) && is_part(domain));
        // A second line would be a second header.
        let is_made = template.fields().next().is_some() && !written.contains(['\n', '\r']);
        if is_address || is_made {
            return Ok(Some(template));
        }
        Err(Fault::unknown(value.at, &written, "e-mail address", &[]))
    }

    fn stored_template(&mut self) -> Result<String, Fault> {
        let value = self.required("template")?;
        let name = value.text();
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if !name.is_empty() && name.chars().all(fits) {
            return Ok(name);
        }
        let fault = Fault::unknown(value.at, &name, "name of a template", &[]);
        Err(fault.expecting(&["small letters, digits and _"]))
    }

    fn request(&mut self) -> Result<Template, Fault> {
        let value = self.required("text")?;
        let template = self.read(&value)?;
        if template.is_blank() {
            return Err(Fault::says(
                value.at,
                "there is nothing to ask in an empty text",
            ));
        }
        Ok(template)
    }
}
