//! Lists that a user writes, judged and brought into the form in which they are compared.

use url::Host;

use crate::http::Problem;

const MOST: usize = 1000;
const LONGEST: usize = 320;

/// Each entry trimmed and once; what `form` refuses is refused with the field's name and place.
fn list(
    field: &str,
    given: Vec<String>,
    form: impl Fn(&str) -> Result<String, &'static str>,
) -> Result<Vec<String>, Problem> {
    if given.len() > MOST {
        return Err(Problem::invalid(field, format!("at most {MOST} entries")));
    }
    let mut kept: Vec<String> = Vec::with_capacity(given.len());
    for (place, text) in given.into_iter().enumerate() {
        let refused = |why: &str| Problem::invalid(format!("{field}[{place}]"), why);
        let text = text.trim();
        if text.is_empty() || text.chars().count() > LONGEST {
            return Err(refused("must have 1 to 320 characters"));
        }
        if text.contains(char::is_control) {
            return Err(refused("must not hold control characters"));
        }
        let text = form(text).map_err(refused)?;
        if !kept.contains(&text) {
            kept.push(text);
        }
    }
    Ok(kept)
}

pub(super) fn labels(field: &str, given: Vec<String>) -> Result<Vec<String>, Problem> {
    list(field, given, |name| Ok(name.to_owned()))
}

pub(super) fn addresses(field: &str, given: Vec<String>) -> Result<Vec<String>, Problem> {
    list(field, given, mail_address)
}

/// A bare address in the form in which addresses are compared and written to.
pub fn mail_address(address: &str) -> Result<String, &'static str> {
    let refused = "must be an address such as ann@example.com";
    let (local, domain) = address.trim().rsplit_once('@').ok_or(refused)?;
    let is_plain = !local.is_empty()
        && local.len() <= 64
        && !local.contains(|c: char| {
            c.is_whitespace() || c.is_control() || "<>,;:\"()[]\\@".contains(c)
        });
    let domain = ascii(domain).filter(|_| is_plain).ok_or(refused)?;
    Ok(format!("{}@{domain}", local.to_lowercase()))
}

pub(super) fn domains(field: &str, given: Vec<String>) -> Result<Vec<String>, Problem> {
    list(field, given, |domain| {
        let bare = domain.strip_prefix('@').unwrap_or(domain);
        ascii(bare).ok_or("must be a domain such as example.com")
    })
}

/// A text of the user's own, of some lines.
pub(super) fn instructions(field: &str, given: String) -> Result<String, Problem> {
    const LONGEST_TEXT: usize = 4000;
    if given.chars().count() > LONGEST_TEXT {
        return Err(Problem::invalid(
            field,
            format!("at most {LONGEST_TEXT} characters"),
        ));
    }
    let is_odd = |c: char| c.is_control() && !matches!(c, '\n' | '\t' | '\r');
    if given.contains(is_odd) {
        return Err(Problem::invalid(field, "must not hold control characters"));
    }
    Ok(given)
}

/// A domain in lower case and ASCII, of at least two labels such as hosts have. The parser is a URL's,
/// which decodes what is escaped and takes more than mail does.
fn ascii(domain: &str) -> Option<String> {
    if domain.contains('%') {
        return None;
    }
    let Ok(Host::Domain(domain)) = Host::parse(domain) else {
        return None;
    };
    let domain = domain.strip_suffix('.').unwrap_or(&domain);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    (domain.len() <= 253 && domain.contains('.') && domain.split('.').all(is_label))
        .then(|| domain.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Vec<String> {
        vec![text.to_owned()]
    }

    #[test]
    fn lists_are_kept_in_one_form() {
        let given = [
            "Ann@Example.COM",
            " ann@example.com ",
            "jürg@bücher.example",
        ];
        let given = given.map(str::to_owned).to_vec();
        assert_eq!(
            addresses("a", given).unwrap(),
            ["ann@example.com", "jürg@xn--bcher-kva.example"]
        );
        assert_eq!(
            domains("d", one("@Gossip.Example")).unwrap(),
            ["gossip.example"]
        );
        assert_eq!(labels("l", one(" My label ")).unwrap(), ["My label"]);
    }

    #[test]
    fn what_is_no_address_or_domain_is_refused() {
        for text in [
            "ann",
            "@example.com",
            "ann@",
            "a b@example.com",
            "Ann <ann@example.com>",
            "a@b@c.de",
            "",
        ] {
            assert!(addresses("a", one(text)).is_err(), "{text}");
        }
        for text in [
            "",
            "localhost",
            "exa mple.com",
            "%65xample.com",
            "ann@example.com",
            "1.2.3.4",
            "com.",
            "a..com",
            "*.example.com",
            "exa_mple.com",
            "-.com",
        ] {
            assert!(domains("d", one(text)).is_err(), "{text}");
        }
        assert!(labels("l", one("a\0b")).is_err());
        assert!(labels("l", vec!["x".to_owned(); MOST + 1]).is_err());
    }
}
