//! Rules that the assistant proposes: stored switched off, because only the user makes a rule.

use uuid::Uuid;

use super::routes::{MOST_RULES, read};
use super::store;
use crate::db::Scoped;
use crate::ids;
use crate::state::App;

/// Stores a rule that is off; or what is wrong with its text.
pub async fn propose(
    app: &App,
    tx: &mut Scoped,
    text: &str,
) -> Result<Result<Uuid, String>, sqlx::Error> {
    if let Err(words) = read(app, text) {
        return Ok(Err(words));
    }
    if store::count(tx).await? >= MOST_RULES {
        return Ok(Err("there are too many rules".to_owned()));
    }
    let id = ids::next();
    store::insert(tx, id, (text.trim(), false, "inherit"), app.clock.now()).await?;
    Ok(Ok(id))
}

/// The user's latest rules as they are written, and whether they are on.
pub async fn texts(tx: &mut Scoped) -> Result<Vec<(String, bool)>, sqlx::Error> {
    let rules = store::list(tx, 100, None).await?;
    Ok(rules
        .into_iter()
        .map(|rule| (rule.text, rule.enabled))
        .collect())
}
