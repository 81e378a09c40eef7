//! What a request may do, beyond whose rows it may touch: a session may do what its user may; an API
//! token only what its scopes say.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::Method;
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};

use crate::db::UserScope;
use crate::http::Problem;

/// What an API token was made for.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum TokenScope {
    /// Looking: `GET`, and searching.
    Read,
    /// Everything else, deciding approvals apart.
    Write,
    /// Deciding approvals. Never a default.
    Approve,
}

impl TokenScope {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Approve => "approve",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        [Self::Read, Self::Write, Self::Approve]
            .into_iter()
            .find(|scope| scope.name() == name)
    }
}

/// How a request proved who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Session,
    Token(Vec<TokenScope>),
}

/// Reads that are sent as POST, because a question doesn't fit into a URL.
const READS_BY_POST: [&str; 2] = ["/api/embeddings/search", "/api/rules/preview"];

/// Where each message says what it wants: see [`Bearer`].
const JUDGED_THERE: [&str; 1] = ["/mcp"];

impl Access {
    /// The scope that a token lacks for this request.
    pub(super) fn lacks(&self, method: &Method, path: &str) -> Option<TokenScope> {
        let Self::Token(scopes) = self else {
            return None;
        };
        if JUDGED_THERE.contains(&path) {
            return None;
        }
        let reads = is_read(method) || READS_BY_POST.contains(&path);
        let needed = if reads {
            TokenScope::Read
        } else {
            TokenScope::Write
        };
        (!scopes.contains(&needed)).then_some(needed)
    }
}

/// A method that changes nothing.
pub(super) fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// The user in person: signed in by a session, not by a token, which must not make itself mightier.
pub struct InPerson(pub UserScope);

impl<S: Send + Sync> FromRequestParts<S> for InPerson {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let scope = parts
            .extensions
            .get::<UserScope>()
            .ok_or_else(Problem::unauthenticated)?;
        if parts.extensions.get() == Some(&Access::Session) {
            Ok(Self(*scope))
        } else {
            Err(Problem::forbidden("an API token can't do this")
                .detail("sign in and do it in person"))
        }
    }
}

/// Who asks with an API token, and what it may; a session doesn't count.
#[derive(Clone, Debug)]
pub struct Bearer {
    pub scope: UserScope,
    may: Vec<TokenScope>,
}

impl Bearer {
    pub fn may(&self, what: TokenScope) -> bool {
        self.may.contains(&what)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Bearer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let scope = parts.extensions.get::<UserScope>();
        match (scope, parts.extensions.get()) {
            (Some(scope), Some(Access::Token(may))) => Ok(Self {
                scope: *scope,
                may: may.clone(),
            }),
            _ => Err(Problem::unauthenticated()),
        }
    }
}

/// Whether who asks may let things be done without asking: the user in person, or a token made for it.
pub struct MayApprove(pub bool);

impl<S: Send + Sync> FromRequestParts<S> for MayApprove {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(match parts.extensions.get() {
            Some(Access::Session) => true,
            Some(Access::Token(scopes)) => scopes.contains(&TokenScope::Approve),
            None => false,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_does_what_its_scopes_say() {
        let only = |scope| Access::Token(vec![scope]);
        let lacks = |access: &Access, method: Method, path: &str| access.lacks(&method, path);
        let (read, write) = (TokenScope::Read, TokenScope::Write);
        assert_eq!(lacks(&only(read), Method::GET, "/api/tasks"), None);
        assert_eq!(
            lacks(&only(read), Method::POST, "/api/embeddings/search"),
            None
        );
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            assert_eq!(lacks(&only(read), method, "/api/tasks"), Some(write));
        }
        assert_eq!(lacks(&only(write), Method::GET, "/api/tasks"), Some(read));
        assert_eq!(
            lacks(&Access::Session, Method::DELETE, "/api/account"),
            None
        );
        // What is said there is judged there.
        assert_eq!(lacks(&only(read), Method::POST, "/mcp"), None);
    }
}
