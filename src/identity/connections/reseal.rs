//! After a change of keys: what the earlier ones sealed is sealed under the first of today's, so that
//! they can be taken out of the settings.

use serde_json::{Value, json};

use super::{Provider, store};
use crate::db::{UserId, UserScope};
use crate::secret::{CannotOpen, Place};
use crate::state::App;
use crate::tasks::{Failure, OrFailure as _, Routine, RoutineContext};

const BATCH: i64 = 200;

/// Seals anew what isn't sealed under the first key, every ten minutes: an instance that still has
/// the earlier settings may have sealed more.
pub struct Reseal;

impl Routine<App> for Reseal {
    const NAME: &'static str = "reseal_tokens";
    const CRON: &'static str = "*/10 * * * *";

    async fn run(context: RoutineContext<App>) -> Result<Value, Failure> {
        let resealed = reseal_all(&context.app).await.or_retry()?;
        Ok(json!({"resealed": resealed}))
    }
}

/// Right after the start, which is when keys change.
pub async fn reseal_at_start(app: App) {
    if let Err(error) = reseal_all(&app).await {
        tracing::warn!(%error, "tokens could not be sealed anew; it is tried again");
    }
}

async fn reseal_all(app: &App) -> Result<u32, sqlx::Error> {
    let (mut resealed, mut after) = (0, None);
    loop {
        let current = app.keys.current();
        let old = store::sealed_otherwise(&app.pool, current, after, BATCH).await?;
        let Some((last, _)) = old.last() else { break };
        after = Some(*last);
        for (user_id, provider) in old {
            let Some(provider) = Provider::named(&provider) else {
                continue;
            };
            resealed += u32::from(reseal(app, user_id, provider).await?);
        }
    }
    if resealed > 0 {
        tracing::info!(
            count = resealed,
            key = app.keys.current(),
            "tokens are sealed under the first key now"
        );
    }
    Ok(resealed)
}

/// Under the row's lock, so that a refresh that ends now isn't undone.
async fn reseal(app: &App, user_id: UserId, provider: Provider) -> Result<bool, sqlx::Error> {
    let scope = UserScope::checked(user_id);
    let mut tx = scope.begin(&app.pool).await?;
    let Some(tokens) = store::lock_tokens(&mut tx, provider).await? else {
        return Ok(false);
    };
    let renewed = |column, sealed: &[u8]| -> Result<Vec<u8>, CannotOpen> {
        let place = Place {
            table: "connections",
            column,
            owner: user_id.0,
            provider: provider.name(),
        };
        let token = app.keys.open(place, sealed)?;
        Ok(app.keys.seal(place, &token))
    };
    let access = tokens
        .access_token
        .map(|token| renewed("access_token", &token));
    let (Ok(access), Ok(refresh)) = (
        access.transpose(),
        renewed("refresh_token", &tokens.refresh_token),
    ) else {
        tracing::error!(
            user_id = %user_id.0,
            provider = provider.name(),
            "stored tokens don't open under any key in the settings"
        );
        return Ok(false);
    };
    store::put_resealed(
        &mut tx,
        provider,
        access.as_deref(),
        &refresh,
        app.keys.current(),
    )
    .await?;
    tx.commit().await?;
    Ok(true)
}
