//! The limits as they meet every request, after it is known who asks.

use axum::body::{Body, HttpBody as _};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http_body_util::BodyExt as _;

use super::{Class, Permit, Who};
use crate::db::UserScope;
use crate::http::Problem;
use crate::http::peer::Peer;
use crate::state::App;

/// Lets a request in, or says when to come back.
pub async fn admit(State(app): State<App>, request: Request, next: Next) -> Response {
    let Some(class) = Class::of(request.method(), request.uri().path()) else {
        return next.run(request).await;
    };
    let peer = Peer::among(request.extensions());
    if class == Class::Webhooks {
        // Whether a delivery is a provider's shows only when it is verified. Those that are ask for
        // themselves (`webhooks::intake`); those that aren't are the peer's own doing.
        let response = next.run(request).await;
        if response.status() == StatusCode::UNAUTHORIZED
            && let Err(problem) = app.limits.forgery(peer).await
        {
            return problem.into_response();
        }
        return response;
    }
    let user = request.extensions().get::<UserScope>();
    let who = user.map_or(Who::Peer(peer), |scope| Who::User(scope.user_id()));
    let permit = match enter(&app, class, who).await {
        Ok(permit) => permit,
        Err(problem) => return problem.into_response(),
    };
    let response = next.run(request).await;
    // A body whose length is known is made already.
    let is_made = response.body().size_hint().exact().is_some();
    if class.lasts() && !is_made {
        response.map(|body| until_its_end(body, permit))
    } else {
        response
    }
}

async fn enter(app: &App, class: Class, who: Who) -> Result<Permit, Problem> {
    if class == Class::Operations {
        return app.limits.enter(class, None).await;
    }
    app.limits.request(who).await?;
    app.limits.enter(class, Some(who)).await
}

/// The place goes with the body, also when the reader leaves.
fn until_its_end(body: Body, permit: Permit) -> Body {
    Body::new(body.map_frame(move |frame| {
        let _kept = &permit;
        frame
    }))
}
