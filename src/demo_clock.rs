//! `POST /api/demo/clock`: moves the program's time forward, so that waits of days can be tried in a
//! minute. With `DEMO_CONTROLS` only, which production refuses.
//!
//! Promises: every instance over the same database follows, and a restart goes on where time was;
//! time never goes back. Signatures and leases don't follow: they aren't checked by [`Clock`].
//! May not know: what is due.
//!
//! [`Clock`]: crate::clock::Clock

use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use chrono::{DateTime, TimeDelta, Utc};
use jiff::{Span, SpanRelativeTo, Unit};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use sqlx::postgres::PgListener;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::{Json, Problem, ProblemBody};
use crate::identity;
use crate::state::App;

const CHANNEL: &str = "demo_clock";
/// Before a lost connection is made anew.
const PAUSE: Duration = Duration::from_secs(2);
const LONGEST: TimeDelta = TimeDelta::days(3660);

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(advance))
}

#[derive(Deserialize, utoipa::ToSchema)]
struct Advance {
    /// An ISO 8601 duration of weeks, days, hours, minutes or seconds, such as `P3D` or `PT90M`.
    advance: String,
}

#[derive(Serialize, utoipa::ToSchema)]
struct Now {
    now: DateTime<Utc>,
}

/// Moves the program's clock forward. Where `DEMO_CONTROLS` is set only.
#[utoipa::path(post, path = "/api/demo/clock", tag = "demo", request_body = inline(Advance), responses(
    (status = 200, body = inline(Now)), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody),
    (status = 422, body = ProblemBody)))]
async fn advance(
    State(app): State<App>,
    headers: HeaderMap,
    Json(asked): Json<Advance>,
) -> Result<Json<Now>, Problem> {
    if !app.config.demo.controls {
        return Err(Problem::not_found());
    }
    identity::refuse_foreign(&app, &headers)?;
    let by = duration(&asked.advance).ok_or_else(|| {
        Problem::invalid(
            "advance",
            "must be an ISO 8601 duration forward of at most ten years, such as P3D",
        )
    })?;
    let ahead = sqlx::query_scalar!(
        "
        insert into demo_clock (ahead_ms) values ($1)
        on conflict (only_row) do update set ahead_ms = demo_clock.ahead_ms + excluded.ahead_ms
        returning ahead_ms
        ",
        by.num_milliseconds(),
    )
    .fetch_one(&app.pool)
    .await?;
    follow(&app, ahead);
    sqlx::query!("select pg_notify($1, $2)", CHANNEL, ahead.to_string())
        .execute(&app.pool)
        .await?;
    Ok(Json(Now {
        now: app.clock.now(),
    }))
}

/// Days are of 24 hours; months and years, which are of no length, are refused.
fn duration(text: &str) -> Option<TimeDelta> {
    // The parser also takes "3 days", which the contract doesn't promise.
    let text = text.trim();
    let span: Span = text.starts_with('P').then(|| text.parse().ok())??;
    if span.get_months() != 0 || span.get_years() != 0 {
        return None;
    }
    let millis = span
        .total((Unit::Millisecond, SpanRelativeTo::days_are_24_hours()))
        .ok()?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "saturates, and is judged below"
    )]
    let by = TimeDelta::try_milliseconds(millis as i64)?;
    (by >= TimeDelta::zero() && by <= LONGEST).then_some(by)
}

fn follow(app: &App, ahead_ms: i64) {
    app.clock.set_ahead(ahead_ms);
    app.tasks.clock_moved();
}

/// Where time was when the program stopped.
pub async fn resume(app: &App) -> anyhow::Result<()> {
    if app.config.demo.controls
        && let Some(ahead) = stored(&app.pool).await?
    {
        follow(app, ahead);
    }
    Ok(())
}

async fn stored(pool: &PgPool) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar!("select ahead_ms from demo_clock")
        .fetch_optional(pool)
        .await
}

/// Follows the other instances until the process stops.
pub async fn listen(app: App) {
    if !app.config.demo.controls {
        return;
    }
    loop {
        tokio::select! {
            heard = hear(&app) => {
                if let Err(error) = heard {
                    tracing::debug!(%error, "the demo's clock is not heard for a moment");
                }
            }
            () = app.stopping.cancelled() => return,
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn hear(app: &App) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(&app.pool).await?;
    listener.listen(CHANNEL).await?;
    // What was said before, or while the connection was gone.
    if let Some(ahead) = stored(&app.pool).await? {
        follow(app, ahead);
    }
    while let Some(told) = listener.try_recv().await? {
        if let Ok(ahead) = told.payload().parse() {
            follow(app, ahead);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_iso_8601s_and_go_forward() {
        for (text, seconds) in [
            ("P3D", 3 * 86_400),
            ("PT90M", 5_400),
            ("P1W", 7 * 86_400),
            ("P1DT1H", 90_000),
            ("PT0S", 0),
        ] {
            assert_eq!(duration(text), Some(TimeDelta::seconds(seconds)), "{text}");
        }
        for text in [
            "",
            "3 days",
            "P",
            "P1M",
            "P1Y",
            "-P1D",
            "P9999999D",
            "PT1e9S",
        ] {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
