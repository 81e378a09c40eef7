//! Who asks: users, sessions, API tokens, and the demo advisor's sign-in.
//!
//! Promises: a session id and an API token are 256 random bits of which only the SHA-256 is stored;
//! every sign-in makes a new session; a write by cookie comes from our own origins; a token does what
//! its scopes say and can't make another. [`authenticate`] puts the `UserScope` into the request, in
//! one round trip to the database, and that is the only way a route gets one. May not know: what the
//! user does once signed in. Begin with `session.rs`.

mod access;
pub mod connections;
pub mod routes;
mod session;
pub mod settings;
mod sign_in;
mod store;
mod tokens;

use sqlx::PgPool;

use crate::clock::Clock;
use crate::db::UserScope;
use crate::ids;

pub use access::{Bearer, InPerson, MayApprove, TokenScope};
pub use session::{authenticate, authorize, no_session, refuse_foreign};

/// The address under which `demo`, `import` and sign-in on one's own machine meet.
pub const DEMO_ADVISOR: &str = "alex@morgan-advisory.example";
const DEMO_NAME: &str = "Alex Morgan";

/// The scope of a demo advisor, who is made when absent. For the command line and demo sign-in:
/// whoever calls this has decided that no further proof is needed.
pub async fn demo_advisor(
    pool: &PgPool,
    clock: &Clock,
    email: &str,
) -> Result<UserScope, sqlx::Error> {
    let name = if email == DEMO_ADVISOR {
        DEMO_NAME
    } else {
        email.split('@').next().unwrap_or(email)
    };
    let user_id = store::find_or_create(
        pool,
        &store::NewUser {
            id: ids::next(),
            subject: format!("demo:{email}"),
            email: email.to_owned(),
            name: name.to_owned(),
            picture_url: None,
            now: clock.now(),
        },
    )
    .await?;
    Ok(UserScope::checked(user_id))
}
