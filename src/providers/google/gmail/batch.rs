//! Many reads in one call: a `multipart/mixed` of HTTP requests, answered by one of HTTP replies.
//!
//! Quota is that of the calls within, and so are refusals: a part that came too fast is asked for
//! again by itself.

use std::collections::HashMap;
use std::time::Duration;

use mail_parser::{MessageParser, MimeHeaders as _};
use rand::Rng as _;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use url::Url;

use super::messages::{self, Format, Message};
use crate::providers::caller::{Call, Caller, Credentials, Reply};
use crate::providers::google::error;
use crate::providers::{Error, Kind};

/// More are allowed and come back refused: so many run at once.
pub(super) const LARGEST: usize = 50;
const BOUNDARY: &str = "batch-of-paraplanner";
/// Rounds for parts that were refused for coming too fast.
const ROUNDS: u32 = 5;

type Outcome = Result<Message, Error>;

/// Each message with its own outcome, in the order asked for.
pub(super) async fn get(
    caller: &Caller,
    api: &Url,
    user: &dyn Credentials,
    ids: &[String],
    format: Format,
) -> Result<Vec<(String, Outcome)>, Error> {
    let mut found: HashMap<usize, Outcome> = HashMap::with_capacity(ids.len());
    let mut open: Vec<usize> = (0..ids.len()).collect();
    for round in 0..ROUNDS {
        let request = caller
            .http
            .post(crate::providers::below(api, &["batch", "gmail", "v1"], &[]))
            .header(
                CONTENT_TYPE,
                format!("multipart/mixed; boundary={BOUNDARY}"),
            )
            .body(body(ids, &open, format));
        let cost = messages::GET_COST * u32::try_from(open.len()).unwrap_or(u32::MAX);
        let call = Call::read("messages.get.batch", cost, request);
        let replies = parts(&caller.send(user, call).await?)?;
        for (place, outcome) in replies {
            found.insert(place, outcome);
        }
        open.retain(|place| match found.get(place) {
            None => true,
            Some(Ok(_)) => false,
            Some(Err(error)) => error.kind.is_passing(),
        });
        if open.is_empty() {
            break;
        }
        if round + 1 < ROUNDS {
            let ceiling = Duration::from_secs(1) * 2_u32.pow(round);
            let pause = ceiling.mul_f64(rand::rng().random_range(0.0..1.0));
            tokio::time::sleep(pause).await;
        }
    }
    Ok(ids
        .iter()
        .enumerate()
        .map(|(place, id)| {
            let missing = || Err(Error::new(Kind::Nonsense, "the batch left it out"));
            (id.clone(), found.remove(&place).unwrap_or_else(missing))
        })
        .collect())
}

fn body(ids: &[String], places: &[usize], format: Format) -> String {
    use std::fmt::Write as _;
    let mut body = String::new();
    for &place in places {
        let mut path = crate::providers::below(
            &Url::parse("http://batch").expect("a literal URL"),
            &["gmail", "v1", "users", "me", "messages"],
            &[&ids[place]],
        );
        path.query_pairs_mut().extend_pairs(format.parameters());
        let path = &path[url::Position::BeforePath..];
        let _ = write!(
            body,
            "--{BOUNDARY}\r\nContent-Type: application/http\r\nContent-ID: <{place}>\r\n\r\n\
             GET {path} HTTP/1.1\r\n\r\n\r\n"
        );
    }
    let _ = write!(body, "--{BOUNDARY}--\r\n");
    body
}

/// The replies within a reply, each with the place of its question.
fn parts(reply: &Reply) -> Result<Vec<(usize, Outcome)>, Error> {
    let nonsense = || Error::new(Kind::Nonsense, "the batch's reply can't be read");
    let content_type = reply
        .headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .filter(|value| value.starts_with("multipart/"))
        .ok_or_else(nonsense)?;
    let mut whole = format!("Content-Type: {content_type}\r\n\r\n").into_bytes();
    whole.extend_from_slice(&reply.body);
    let message = MessageParser::default()
        .parse(&whole)
        .ok_or_else(nonsense)?;
    Ok(message
        .parts
        .iter()
        .filter_map(|part| {
            let id = part.content_id()?;
            let place = id.rsplit("response-").next()?.trim_matches(['<', '>']);
            Some((place.parse().ok()?, outcome(part.contents())))
        })
        .collect())
}

/// A reply as HTTP/1.1 writes it.
fn outcome(bytes: &[u8]) -> Outcome {
    let nonsense = || Error::new(Kind::Nonsense, "a part of the batch can't be read");
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Response::new(&mut headers);
    let Ok(httparse::Status::Complete(length)) = head.parse(bytes) else {
        return Err(nonsense());
    };
    let status = head
        .code
        .and_then(|code| StatusCode::from_u16(code).ok())
        .ok_or_else(nonsense)?;
    let headers: HeaderMap = head
        .headers
        .iter()
        .filter_map(|header| {
            let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
            Some((name, HeaderValue::from_bytes(header.value).ok()?))
        })
        .collect();
    let body = bytes[length..].to_vec();
    if !status.is_success() {
        return Err(error::read(status, &headers, &body));
    }
    let reply = Reply {
        status,
        headers,
        body,
    };
    reply.json::<messages::Wire>().map(Message::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_has_its_own_outcome() {
        let body = "--b\r\nContent-Type: application/http\r\nContent-ID: <response-1>\r\n\r\n\
             HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\n\r\n{}\r\n\
             --b\r\nContent-Type: application/http\r\nContent-ID: <response-0>\r\n\r\n\
             HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n\
             {\"id\": \"18f1\", \"raw\": \"R3LDvMOfZQ\"}\r\n--b--\r\n";
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, "multipart/mixed; boundary=b".parse().unwrap());
        let mut parts = parts(&Reply {
            status: StatusCode::OK,
            headers,
            body: body.into(),
        })
        .unwrap();
        parts.sort_by_key(|(place, _)| *place);
        assert_eq!(parts.len(), 2);
        let message = parts[0].1.as_ref().unwrap();
        assert_eq!(
            (message.id.as_str(), message.raw.as_deref()),
            ("18f1", Some("Grüße".as_bytes()))
        );
        assert_eq!(parts[1].1.as_ref().unwrap_err().kind, Kind::NotFound);
    }
}
