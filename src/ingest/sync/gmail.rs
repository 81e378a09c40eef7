//! Mail: newest first, so that questions work after the first page.

use futures::{Stream, StreamExt as _};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Read, Source, Walk, ended};
use crate::identity::connections::{Grant, Provider};
use crate::ingest::files::{Item, parse_mail};
use crate::providers::google::gmail::{Format, Message};
use crate::providers::wire::Page;
use crate::providers::{Error, Kind};
use crate::state::App;
use crate::tasks::{Context, Failure, Handler, OrFailure as _, Payload};

/// Drafts aren't the advisor's word yet; spam and trash the listing leaves out by itself.
const QUERY: &str = "-in:drafts -in:chats";

/// "Read this user's mailbox."
#[derive(Debug, Serialize, Deserialize)]
pub struct SyncGmail {}

impl Payload for SyncGmail {
    const KIND: &'static str = "sync_gmail";
}

impl Handler<App> for SyncGmail {
    async fn run(self, context: Context<App>) -> Result<Value, Failure> {
        ended(walk(&context).await)
    }
}

async fn walk(context: &Context<App>) -> Result<Value, Failure> {
    let app = &context.app;
    let google = app
        .google
        .as_ref()
        .ok_or_else(|| anyhow::anyhow!("Google isn't configured"))
        .or_fail()?;
    let grant = Grant::new(app, context.scope, Provider::Google);
    let profile = google.gmail.profile(&grant).await;
    let profile = grant.or_wait(context, profile).await?;
    let mut walk = Walk::begin(context, Source::Gmail, profile.messages_total).await?;
    loop {
        let page = google.gmail.list(&grant, QUERY, walk.page.as_deref()).await;
        let page = walk.or_restart(page).await?;
        let page = grant.or_wait(context, page).await?;
        let ids: Vec<String> = page.items.iter().map(|item| item.id.clone()).collect();
        let found = google.gmail.messages(&grant, &ids, Format::Raw);
        let read = grant.or_wait(context, read(&page, found).await).await?;
        if !walk.store(read).await? {
            return Ok(walk.result());
        }
    }
}

/// Parses what comes, as it comes: nothing but its text is kept. A message that is gone by now is
/// nothing. One that can't be had while others can is counted, and had with the next reading; when
/// none of a page can be had, the page comes again.
async fn read<P>(
    page: &Page<P>,
    found: impl Stream<Item = (String, Result<Message, Error>)>,
) -> Result<Read, Error> {
    let mut read = Read {
        unreadable: page.unreadable.len(),
        next: page.next.clone(),
        ..Read::default()
    };
    let mut away = None;
    let mut found = std::pin::pin!(found);
    while let Some((id, outcome)) = found.next().await {
        match outcome {
            Ok(message) if message.labels.iter().any(|label| label == "DRAFT") => {}
            Ok(message) => match parsed(&message) {
                Ok(item) => read.items.push(item),
                Err(reason) => {
                    tracing::info!(id, reason, "a message of Gmail can't be read");
                    read.unreadable += 1;
                }
            },
            Err(error) if error.kind == Kind::NotFound => {}
            Err(error) if matches!(error.kind, Kind::Unauthorized | Kind::RateLimited { .. }) => {
                return Err(error);
            }
            Err(error) if error.kind.is_passing() => {
                tracing::info!(id, %error, "a message of Gmail can't be had now");
                away = Some(error);
                read.unreadable += 1;
            }
            Err(error) => {
                tracing::info!(id, %error, "a message of Gmail can't be had");
                read.unreadable += 1;
            }
        }
    }
    match away {
        Some(error) if read.items.is_empty() => Err(error),
        _ => Ok(read),
    }
}

fn parsed(message: &Message) -> Result<Item, String> {
    let raw = message.raw.as_deref().ok_or("It came without its text.")?;
    parse_mail(raw, message.received_at).map(|mail| Item::Email(Box::new(mail)))
}
