//! `paraplanner demo`: the server beside simulated providers, which hold an invented advisor's book.
//!
//! Signing in and connecting go the same ways as with the real Google and HubSpot, by the same
//! base-URL settings; nothing leaves the machine. The simulated world is made anew at each start, so
//! what was connected before asks to be connected again.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::TcpListener;
use std::process::ExitCode;

use chrono::TimeDelta;
use serde_json::json;
use url::Url;

use super::serve;
use crate::app::Role;
use crate::clock::Clock;
use crate::config::{Config, Source};
use crate::demo::cards::When;
use crate::demo::{self, Book};
use crate::identity;
use crate::ingest;
use crate::simulator::google::{Delivery, PushSettings};
use crate::simulator::{Simulator, World};

/// HubSpot's account of the demo's firm, and the advisor's user in it.
const PORTAL: u64 = 4242;
const MEMBER: u64 = 9001;
const SECOND_ADVISOR: &str = "sam@second-advisory.example";

/// How the simulated Gmail tells of new mail.
const TOPIC: &str = "projects/simulator/topics/gmail";
const AUDIENCE: &str = "https://paraplanner.example/push";
const SERVICE_ACCOUNT: &str = "push@simulator.iam.gserviceaccount.com";

/// Where the simulated providers will answer.
pub struct Providers(TcpListener);

impl Providers {
    /// Takes a free port and points the settings to it.
    pub fn prepare(source: &mut Source) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let url = Url::parse(&format!("http://{}", listener.local_addr()?))?;
        for (name, value) in Simulator::settings_at(&url) {
            source.set(name, &value);
        }
        for (name, value) in [
            ("GMAIL_PUBSUB_TOPIC", TOPIC),
            ("GMAIL_PUSH_AUDIENCE", AUDIENCE),
            ("GMAIL_PUSH_SERVICE_ACCOUNT", SERVICE_ACCOUNT),
        ] {
            source.set(name, value);
        }
        source.set("DEMO_MODE", "true");
        source.set("DEMO_CONTROLS", "true");
        Ok(Self(listener))
    }

    /// Answers, by the program's own clock.
    fn start(self, clock: Clock) -> anyhow::Result<Simulator> {
        Simulator::start(tokio::net::TcpListener::from_std(self.0)?, clock)
    }
}

pub async fn run(config: Config, providers: Providers) -> anyhow::Result<ExitCode> {
    let serving = serve::start(config, Role::Server).await?;
    let app = &serving.running.app;
    let simulator = providers.start(app.clock.clone())?;
    let today = app.clock.now().date_naive();
    let book = tokio::task::spawn_blocking(move || ingest::demo_book(today)).await?;
    fill(simulator.world(), &book)?;
    let endpoint = format!(
        "http://127.0.0.1:{}/api/webhooks/gmail",
        serving.running.address.port()
    );
    simulator.world().google().push_to(PushSettings {
        topic: Some(TOPIC.to_owned()),
        audience: Some(AUDIENCE.to_owned()),
        service_account: SERVICE_ACCOUNT.to_owned(),
        ..PushSettings::to(Url::parse(&endpoint)?)
    });
    // A closed standard output is no reason not to serve.
    let origin = simulator.world().url().as_str().trim_end_matches('/');
    let _ = writeln!(std::io::stdout(), "simulated providers on {origin}");
    let scope = identity::demo_advisor(&app.pool, &app.clock, identity::DEMO_ADVISOR).await?;
    ingest::fill_demo_book(app, &scope, None).await?;
    serving.wait().await
}

/// Puts the book where its advisor would have it: mails and meetings at Google, clients at HubSpot.
fn fill(world: &World, book: &Book) -> anyhow::Result<()> {
    let google = world.google();
    let advisor = &book.advisor.email;
    google.add_account(advisor, &book.advisor.full_name());
    google.add_account(SECOND_ADVISOR, "Sam Second");
    let mut mails = Vec::with_capacity(book.mails.len());
    for mail in &book.mails {
        let labels: &[&str] = if mail.from.email == *advisor {
            &["SENT"]
        } else {
            &["INBOX"]
        };
        let delivery = Delivery {
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            at: Some(mail.at.to_utc()),
        };
        mails.push((mail.to_bytes()?, delivery));
    }
    google.deliver_all(advisor, mails);
    for event in &book.events {
        google
            .add_event(advisor, &calendar_event(event))
            .map_err(|refused| anyhow::anyhow!("an event of the book is refused: {refused}"))?;
    }

    let hubspot = world.hubspot();
    hubspot.add_portal(PORTAL, "morgan-advisory.example");
    hubspot.add_user(PORTAL, MEMBER, advisor);
    let portal = world.portal(PORTAL);
    let contacts = book
        .contacts
        .iter()
        .map(|contact| (properties(contact), None));
    let ids = portal.load_contacts(contacts)?;
    for (id, contact) in ids.into_iter().zip(&book.contacts) {
        if !contact.note.is_empty() {
            portal.add_note(id, &contact.note, world.clock().now())?;
        }
    }
    Ok(())
}

fn calendar_event(event: &demo::cards::Event) -> serde_json::Value {
    let (start, end) = match event.when {
        When::At { starts_at, minutes } => {
            let ends_at = starts_at + TimeDelta::minutes(i64::from(minutes));
            (
                json!({"dateTime": starts_at.to_rfc3339()}),
                json!({"dateTime": ends_at.to_rfc3339()}),
            )
        }
        When::On(day) => (
            json!({"date": day}),
            json!({"date": day.succ_opt().unwrap_or(day)}),
        ),
    };
    let guests: Vec<_> = event
        .attendees
        .iter()
        .map(|guest| json!({"email": guest.email, "displayName": guest.name}))
        .collect();
    json!({
        "summary": event.summary, "description": event.description, "location": event.location,
        "iCalUID": event.uid, "start": start, "end": end, "attendees": guests,
    })
}

fn properties(contact: &demo::cards::Contact) -> BTreeMap<String, String> {
    let fields = [
        ("firstname", Some(&contact.first)),
        ("lastname", Some(&contact.last)),
        ("email", Some(&contact.email)),
        ("phone", Some(&contact.phone)),
        ("company", contact.organization.as_ref()),
        ("city", contact.town.as_ref()),
    ];
    fields
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.clone())))
        .collect()
}
