//! Malformed everything: never a 5xx, every error a problem, and the server still answers afterwards.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::json;

use crate::client::{Advisor, BOUNDARY, File, Reply, form, form_type};
use crate::isolation::operations;
use crate::world::World;

async fn raw(alex: &Advisor, method: Method, path: &str, kind: &str, body: Vec<u8>) -> Reply {
    let mut request = alex.request(method, path).body(body);
    if !kind.is_empty() {
        request = request.header(CONTENT_TYPE, kind);
    }
    Reply::read(request.send().await.unwrap()).await
}

#[tokio::test]
async fn malformed_json_is_refused_by_every_operation_that_takes_json() {
    let world = World::start().await;
    let alex = world.advisor("alex").await;
    let conversation = alex.ask("Who?").await.conversation().to_owned();
    let deep =
        |open: &str, close: &str| format!("{}{}", open.repeat(200), close.repeat(200)).into_bytes();
    let bodies: Vec<(Vec<u8>, u16)> = vec![
        (b"".to_vec(), 400),
        (b"{".to_vec(), 400),
        (b"}".to_vec(), 400),
        (b"nul".to_vec(), 400),
        (b"{'message': 'x'}".to_vec(), 400),
        (b"{\"message\": \"x\",}".to_vec(), 400),
        (b"{\"message\": \"x\"} more".to_vec(), 400),
        (b"\xef\xbb\xbf{}".to_vec(), 400),
        (b"\xff\xfe{\0}\0".to_vec(), 400),
        (b"{\"message\": \"\xff\"}".to_vec(), 400),
        (b"{\"message\": \"\xed\xa0\x80\"}".to_vec(), 400),
        (br#"{"message": "\ud800"}"#.to_vec(), 400),
        (br#"{"message": "\udc00\ud800"}"#.to_vec(), 400),
        (br#"{"message": "\x41"}"#.to_vec(), 400),
        (b"{\"message\": \"a\nb\"}".to_vec(), 400),
        (b"{\"message\": 1e9999}".to_vec(), 400),
        (deep("[", "]"), 400),
        (deep("{\"message\":", "}"), 400),
        (b"\0\0\0\0".to_vec(), 400),
        (b"null".to_vec(), 422),
        (b"1".to_vec(), 422),
        (b"\"text\"".to_vec(), 422),
        (b"[]".to_vec(), 422),
        (b"{}".to_vec(), 422),
        (br#"{"message": 1, "query": 1, "title": 1}"#.to_vec(), 422),
        (
            br#"{"message": null, "query": null, "title": null}"#.to_vec(),
            422,
        ),
        (
            br#"{"message": {"$gt": ""}, "query": {}, "title": {}}"#.to_vec(),
            422,
        ),
        (
            br#"{"message": "a\u0000b", "query": "a\u0000b", "title": "a\u0000b"}"#.to_vec(),
            422,
        ),
        (
            br#"{"message": "  ", "query": "\t", "title": "\n"}"#.to_vec(),
            422,
        ),
    ];
    for path in [
        "/api/chat/stream",
        "/api/chat/message",
        "/api/embeddings/search",
        &format!("/api/conversations/{conversation}"),
    ] {
        let method = if path.contains("conversations") {
            Method::PATCH
        } else {
            Method::POST
        };
        for (body, status) in &bodies {
            let reply = raw(
                &alex,
                method.clone(),
                path,
                "application/json",
                body.clone(),
            )
            .await;
            assert_eq!(
                reply.status,
                *status,
                "{path}: {:?}",
                String::from_utf8_lossy(body)
            );
            reply.problem();
        }
        for kind in [
            "",
            "text/plain",
            "application/x-www-form-urlencoded",
            "application/jsonx",
            "multipart/form-data",
            "json",
        ] {
            let reply = raw(&alex, method.clone(), path, kind, b"{}".to_vec()).await;
            assert_eq!(reply.status, 415, "{path}: {kind}");
            reply.problem();
        }
    }
    assert_eq!(world.get("/health").await.status, 200);
}

#[tokio::test]
async fn queries_ids_and_methods_that_make_no_sense_are_refused() {
    let world = World::start().await;
    let alex = world.advisor("alex").await;
    for path in ["/api/tasks", "/api/contacts", "/api/conversations"] {
        for query in [
            "limit=0",
            "limit=-1",
            "limit=201",
            "limit=abc",
            "limit=",
            "limit=1.5",
            "limit=99999999999999999999",
            "limit=1&limit=2",
            "cursor=x",
            "cursor=",
            "cursor=%00",
            "cursor=%ff",
            "cursor=AAAA",
            "cursor=..%2f..",
        ] {
            let reply = alex.get(&format!("{path}?{query}")).await;
            assert_eq!(reply.status, 422, "{path}?{query}: {}", reply.text());
            assert!(!reply.problem()["errors"].as_array().unwrap().is_empty());
        }
    }
    for query in ["state=bogus", "state=done&state=failed", "type=%00"] {
        assert_eq!(
            alex.get(&format!("/api/tasks?{query}")).await.status,
            422,
            "{query}"
        );
    }
    let long = "x".repeat(4000);
    for (method, path) in operations() {
        if !path.contains("{id}") {
            continue;
        }
        for id in [
            "x",
            "0",
            "%00",
            "%ff",
            "..%2f..%2fetc",
            "'%20or%201=1--",
            "%F0%9F%92%A9",
            "01900000-0000-7000-8000-00000000000",
            &long,
        ] {
            let reply = raw(
                &alex,
                method.clone(),
                &path.replace("{id}", id),
                "application/json",
                b"{\"title\":\"x\"}".to_vec(),
            )
            .await;
            assert_eq!(reply.status, 404, "{method} {path} {id}: {}", reply.text());
            reply.problem();
        }
    }
    let all = operations();
    for (_, path) in &all {
        for method in [
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ] {
            if all.contains(&(method.clone(), path.clone())) {
                continue;
            }
            let reply = alex
                .send(method.clone(), &path.replace("{id}", "x"), None)
                .await;
            assert_eq!(reply.status, 405, "{method} {path}");
            assert!(
                reply.header("allow").is_some_and(|allow| !allow.is_empty()),
                "{method} {path}"
            );
            reply.problem();
        }
    }
    assert_eq!(world.get("/health").await.status, 200);
}

#[tokio::test]
async fn broken_forms_are_refused() {
    let world = World::start().await;
    let alex = world.advisor("alex").await;
    let ours = form_type();
    let good = form(&[File::new("a.txt", "Hello there.")]);
    let part = |head: &str| {
        format!("--{BOUNDARY}\r\n{head}\r\n\r\nHello\r\n--{BOUNDARY}--\r\n").into_bytes()
    };
    let huge = format!(
        "Content-Disposition: form-data; name=\"file\"; filename=\"a\"\r\nX-Huge: {}",
        "x".repeat(100_000)
    );
    let many = "X-A: b\r\n".repeat(2000);
    let cases: Vec<(&str, Vec<u8>, &[u16])> = vec![
        ("", good.clone(), &[415]),
        ("text/plain", good.clone(), &[415]),
        ("application/json", b"{}".to_vec(), &[415]),
        ("multipart/form-data", good.clone(), &[400]),
        ("multipart/form-data; boundary=", good.clone(), &[400]),
        (
            "multipart/form-data; boundary=other",
            good.clone(),
            &[400, 422],
        ),
        (&ours, Vec::new(), &[400, 422]),
        (&ours, good[..good.len() / 2].to_vec(), &[400]),
        (&ours, good[..good.len() - 8].to_vec(), &[400]),
        (&ours, b"\0\xff\0\xff".repeat(1000), &[400]),
        (
            &ours,
            format!("--{BOUNDARY}--\r\n").into_bytes(),
            &[400, 422],
        ),
        (
            &ours,
            part("Content-Disposition: form-data; name=\"other\""),
            &[422],
        ),
        (&ours, part("Content-Disposition: form-data"), &[400, 422]),
        (&ours, part("Content-Type: text/plain"), &[400, 422]),
        (&ours, part("no header at all"), &[400, 422]),
        (&ours, part(&huge), &[400, 202]),
        (&ours, part(&many), &[400, 422]),
        (
            &ours,
            form(
                &(0..101)
                    .map(|_| File::new("a.txt", "x"))
                    .collect::<Vec<_>>(),
            ),
            &[422],
        ),
    ];
    for (place, (kind, body, allowed)) in cases.into_iter().enumerate() {
        let reply = raw(&alex, Method::POST, "/api/ingest/documents", kind, body).await;
        assert!(
            allowed.contains(&reply.status),
            "case {place}, {kind}: {} {}",
            reply.status,
            reply.text()
        );
        if reply.status >= 400 {
            reply.problem();
        }
    }
    assert_eq!(world.get("/health").await.status, 200);
}

#[tokio::test]
async fn any_bytes_under_any_name_end_in_a_report() {
    let world = World::start().await;
    let alex = world.advisor("alex").await;
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let mut files = Vec::new();
    for extension in [
        "mbox", "eml", "vcf", "ics", "csv", "pdf", "html", "txt", "md", "exe", "mbx.gz",
    ] {
        for (length, head) in [
            (0, ""),
            (1, ""),
            (5000, ""),
            (5000, "%PDF-1.7\n"),
            (5000, "BEGIN:VCARD\r\n"),
            (5000, "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\n"),
            (5000, "From a Mon Jan  1 10:00:00 2024\nSubject: "),
        ] {
            let mut bytes = vec![0; length];
            random.fill_bytes(&mut bytes);
            files.push(File::new(
                &format!("random.{extension}"),
                [head.as_bytes(), &bytes].concat(),
            ));
        }
    }
    for name in [
        "../../etc/passwd",
        "C:\\evil\\a.txt",
        "..",
        "/",
        "",
        "a\u{202e}txt.exe",
        "-rf",
        "CON",
        &"x".repeat(3000),
    ] {
        files.push(File::new(name, "A harmless note about the pension."));
    }
    let count = files.len();
    let reports = alex.import(&files).await;
    assert_eq!(reports.len(), count);
    for report in &reports {
        let name = report["name"].as_str().unwrap();
        assert!(
            !name.is_empty() && !name.contains(['/', '\\']) && name.chars().count() <= 200,
            "{name}"
        );
        let listed = report["unreadable"].as_array().unwrap();
        assert_eq!(report["unreadable_count"], listed.len(), "{report}");
        assert!(
            listed.iter().all(|item| item["reason"]
                .as_str()
                .is_some_and(|words| words.ends_with('.'))),
            "{report}"
        );
    }
    assert!(
        reports
            .iter()
            .filter(|report| report["unreadable_count"] != json!(0))
            .count()
            > 20
    );
    assert_eq!(world.get("/health").await.status, 200);
}

#[tokio::test]
async fn what_is_too_large_is_refused() {
    let world = World::with(&[("UPLOAD_MAX_BYTES", "1048576")]).await;
    let alex = world.advisor("alex").await;
    let long = format!("{{\"message\": \"{}\"}}", "x".repeat(1 << 20)).into_bytes();
    for path in ["/api/chat/message", "/api/embeddings/search"] {
        let reply = raw(&alex, Method::POST, path, "application/json", long.clone()).await;
        assert_eq!(reply.status, 413, "{path}");
        assert_eq!(reply.header("connection"), Some("close"));
        reply.problem();
    }
    let upload = form(&[File::new("large.txt", vec![b'x'; (1 << 20) + 1])]);
    let reply = raw(
        &alex,
        Method::POST,
        "/api/ingest/documents",
        &form_type(),
        upload,
    )
    .await;
    assert_eq!(reply.status, 413);
    reply.problem();
    let sign_in = raw(
        &alex,
        Method::POST,
        "/api/auth/demo",
        "application/json",
        vec![b' '; 3 << 20],
    )
    .await;
    assert_eq!(sign_in.status, 413);
    sign_in.problem();
    assert_eq!(world.get("/health").await.status, 200);
}
