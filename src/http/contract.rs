//! What every operation of the contract has in common, written into the generated document in one place:
//! the statuses that extractors and middleware answer with, the media type of errors, and how one signs in.
//!
//! A handler's annotation names what is its own. That it takes a user is read from its 401. May not know:
//! any operation by its name.

use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, ParameterIn, PathItem};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{Content, OpenApi, Ref, RefOr, Response, ResponseBuilder};

const PROBLEM: &str = "ProblemBody";
const PROBLEM_TYPE: &str = "application/problem+json";
const EVENTS: &str = "text/event-stream";
const JSON: &str = "application/json";
const SESSION: &str = "session";
const TOKEN: &str = "token";

/// How an operation is reached, beyond what its annotation says.
#[derive(Clone, Copy, Debug)]
pub struct Entrance {
    /// Whoever asks too often is sent away.
    pub limited: bool,
    /// It verifies who calls by itself, and reads its body raw.
    pub provider: bool,
}

/// Completes the document; `entrance` knows paths.
pub fn complete(api: &mut OpenApi, entrance: impl Fn(&str) -> Entrance) {
    for (path, item) in &mut api.paths.paths {
        let entrance = entrance(path);
        for operation in operations(item) {
            complete_operation(operation, entrance);
        }
    }
    let components = api.components.get_or_insert_default();
    components.add_security_scheme(
        SESSION,
        SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::with_description(
            "session",
            "The cookie of a sign-in; `__Host-session` where PUBLIC_URL is https. Other methods than GET and \
             HEAD need an `Origin` of PUBLIC_URL or FRONTEND_URL beside it.",
        ))),
    );
    let token = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("An API token of the user's"));
    components.add_security_scheme(TOKEN, SecurityScheme::Http(token.build()));
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [
        &mut item.get,
        &mut item.post,
        &mut item.put,
        &mut item.patch,
        &mut item.delete,
    ]
    .into_iter()
    .flatten()
}

fn complete_operation(operation: &mut Operation, entrance: Entrance) {
    let takes_a_user =
        operation.responses.responses.contains_key("401") && entrance.limited && !entrance.provider;
    let has_body = operation.request_body.is_some();
    let parameters: Vec<ParameterIn> = operation
        .parameters
        .iter()
        .flatten()
        .filter_map(|parameter| match parameter {
            RefOr::T(parameter) => Some(parameter.parameter_in.clone()),
            RefOr::Ref(_) => None,
        })
        .collect();
    let mut add = |applies: bool, statuses: &[(&str, &str)]| {
        for (status, description) in statuses.iter().filter(|_| applies) {
            operation
                .responses
                .responses
                .entry((*status).to_owned())
                .or_insert_with(|| RefOr::T(problem(description)));
        }
    };
    add(
        takes_a_user,
        &[("403", "from another site, or not within the token's scopes")],
    );
    add(
        has_body || entrance.provider,
        &[("400", "malformed"), ("413", "too large")],
    );
    add(
        has_body && !entrance.provider,
        &[("415", "another media type"), ("422", "invalid")],
    );
    add(
        parameters.contains(&ParameterIn::Path),
        &[("404", "absent, or another user's")],
    );
    add(
        parameters.contains(&ParameterIn::Query),
        &[("422", "invalid")],
    );
    add(
        entrance.limited,
        &[
            ("429", "too many; Retry-After says when to come back"),
            ("503", "not available; Retry-After says when to come back"),
        ],
    );
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response {
            name_problems(response);
            // A schema of the whole stream says nothing, and readers of it take it for that of an event.
            if let Some(RefOr::T(stream)) = response.content.get_mut(EVENTS) {
                stream.schema = None;
            }
            if matches!(status.as_str(), "429" | "503") {
                let seconds = ObjectBuilder::new().schema_type(Type::Integer);
                let header = HeaderBuilder::new()
                    .schema(Some(seconds))
                    .description(Some("Seconds"))
                    .build();
                response
                    .headers
                    .insert("Retry-After".to_owned(), RefOr::T(header));
            }
        }
    }
    if takes_a_user && operation.security.is_none() {
        let none: [&str; 0] = [];
        operation.security = Some(vec![
            SecurityRequirement::new(SESSION, none),
            SecurityRequirement::new(TOKEN, none),
        ]);
    }
}

fn problem(description: &str) -> Response {
    ResponseBuilder::new()
        .description(description)
        .content(
            PROBLEM_TYPE,
            Content::new(Some(Ref::from_schema_name(PROBLEM))),
        )
        .build()
}

/// Annotations say only what the body is; the media type of problems is theirs everywhere.
fn name_problems(response: &mut Response) {
    let is_problem = |content: &RefOr<Content>| match content {
        RefOr::T(content) => matches!(&content.schema, Some(RefOr::Ref(schema))
            if schema.ref_location.ends_with(&format!("/{PROBLEM}"))),
        RefOr::Ref(_) => false,
    };
    if response.content.get(JSON).is_some_and(is_problem)
        && let Some(content) = response.content.shift_remove(JSON)
    {
        response.content.insert(PROBLEM_TYPE.to_owned(), content);
    }
}
