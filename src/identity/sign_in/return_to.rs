//! Where a browser goes after a sign-in: a path on the frontend, and never elsewhere.

use url::Url;

const LONGEST: usize = 2048;

/// The address on `frontend` that a `return_to` names, or nothing when it names anything else. Judged
/// when a sign-in begins, and again when it ends.
pub(super) fn on_frontend(frontend: &Url, return_to: &str) -> Option<Url> {
    let second = return_to.strip_prefix('/')?.chars().next();
    if return_to.len() > LONGEST || matches!(second, Some('/' | '\\')) {
        return None;
    }
    if return_to.chars().any(|c| c == '\\' || c.is_control()) || hides_one(return_to) {
        return None;
    }
    let url = frontend.join(return_to).ok()?;
    // Dot segments are gone by now, and may have left a second slash at the front.
    let is_path = !url.path().starts_with("//");
    (is_path && url.origin() == frontend.origin()).then_some(url)
}

/// Whether a backslash or control character stands there percent-encoded, or a second slash.
fn hides_one(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    lower.starts_with("/%2f")
        || lower.split('%').skip(1).any(|rest| {
            rest.get(..2)
                .and_then(|hex| u8::from_str_radix(hex, 16).ok())
                .is_some_and(|byte| byte == b'\\' || byte.is_ascii_control())
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frontend() -> Url {
        Url::parse("https://app.example.com").unwrap()
    }

    #[test]
    fn a_local_path_keeps_its_query_and_fragment() {
        for path in [
            "/",
            "/clients/7?tab=notes#last",
            "/a/../b",
            "/%41",
            "/sch%C3%B6n",
        ] {
            let url = on_frontend(&frontend(), path).unwrap();
            assert!(
                url.as_str().starts_with("https://app.example.com/"),
                "{url}"
            );
        }
    }

    #[test]
    fn nothing_leads_elsewhere() {
        for elsewhere in [
            "",
            "clients",
            "//evil.example",
            "/\\evil.example",
            "\\/evil.example",
            "/%2fevil.example",
            "/%2Fevil.example",
            "/%5cevil.example",
            "/%5Cevil.example",
            "/a\\b",
            "/a%0d%0aSet-Cookie:x",
            "/a\r\nb",
            "/\t/evil.example",
            "/%09/evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            " /a",
            "/\u{0}",
            "/%00",
            "/%7f",
            "/..//evil.example",
            "/.//evil.example",
            "/a/..//evil.example",
        ] {
            assert_eq!(on_frontend(&frontend(), elsewhere), None, "{elsewhere:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_asked_the_frontend_answers(text in "[/\\\\%25c2fF.:@a\u{0}-\u{20}]{0,24}|.*") {
            if let Some(url) = on_frontend(&frontend(), &text) {
                prop_assert_eq!(url.origin(), frontend().origin());
                prop_assert!(!url.path().starts_with("//"), "{}", url);
            }
        }
    }
}
