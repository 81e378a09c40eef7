//! By what one person is known again: addresses, phone numbers and homes in the form in which they are
//! compared. Pure, and of one mind wherever they are; migration 13 says the same in SQL for older rows.

use url::Host;

/// An index has no room for more, and nobody has such an address.
const LONGEST: usize = 320;
const LONGEST_HOME: usize = 200;

/// Whether an address or uid is one that somebody can be found by.
pub(super) fn is_kept(who: &str) -> bool {
    !who.is_empty() && who.chars().count() <= LONGEST
}

/// The form in which addresses are compared: lower case, the domain in ASCII, without a `+tag`, and
/// as Gmail delivers it where it is Gmail's. Two addresses with the same key are one mailbox; that
/// two mailboxes are one person is for others to know.
pub fn address_key(address: &str) -> String {
    let address = address.trim().to_lowercase();
    let Some((local, domain)) = address.rsplit_once('@') else {
        return address;
    };
    let domain = ascii(domain);
    let domain = match domain.trim_end_matches(|c: char| c == '.' || c.is_whitespace()) {
        "googlemail.com" => "gmail.com",
        domain => domain,
    };
    // What is quoted means what it says.
    if local.starts_with('"') {
        return format!("{local}@{domain}");
    }
    let mut mailbox = match local.split_once('+') {
        Some((mailbox, _)) if !mailbox.is_empty() => mailbox.to_owned(),
        _ => local.to_owned(),
    };
    if domain == "gmail.com" && mailbox.contains(|c| c != '.') {
        mailbox.retain(|c| c != '.');
    }
    format!("{mailbox}@{domain}")
}

fn ascii(domain: &str) -> String {
    // The parser is a URL's: it would decode what no mail system decodes.
    if domain.is_ascii() || domain.contains('%') {
        return domain.to_owned();
    }
    match Host::parse(domain) {
        Ok(Host::Domain(ascii)) => ascii,
        _ => domain.to_owned(),
    }
}

/// What a household may share, as stored in `contact_keys`.
pub(super) fn shared_keys(emails: &[String], phones: &[String], homes: &[String]) -> Vec<String> {
    let mut keys: Vec<String> = address_keys(emails)
        .iter()
        .map(|key| mail_key(key))
        .chain(phones.iter().filter_map(|phone| phone_key(phone)))
        .chain(homes.iter().filter_map(|home| home_key(home)))
        .collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

pub(super) fn mail_key(address_key: &str) -> String {
    format!("mail:{address_key}")
}

/// The last ten digits, in which a number with its country's code and one without agree; nothing for
/// an extension alone.
fn phone_key(phone: &str) -> Option<String> {
    let dialled = phone.split(['x', 'X', '#', ';', ',']).next()?;
    let digits: Vec<char> = dialled
        .replace("(0)", "")
        .chars()
        .filter(char::is_ascii_digit)
        .collect();
    let last = digits.len().saturating_sub(10);
    (digits.len() >= 7).then(|| format!("phone:{}", digits[last..].iter().collect::<String>()))
}

/// The words of a street address, so that commas and line breaks are no difference; nothing for a town
/// or a country alone.
fn home_key(address: &str) -> Option<String> {
    let lower = address.to_lowercase();
    let words: Vec<&str> = lower
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    let words: String = words.join(" ").chars().take(LONGEST_HOME).collect();
    let tells = words.len() >= 10 && words.contains(|c: char| c.is_ascii_digit());
    tells.then(|| format!("home:{words}"))
}

/// Each address's key once, in order.
pub fn address_keys<'a>(addresses: impl IntoIterator<Item = &'a String>) -> Vec<String> {
    let mut keys: Vec<_> = addresses
        .into_iter()
        .map(|address| address_key(address))
        .filter(|key| is_kept(key))
        .collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spellings_of_one_mailbox_have_one_key() {
        for (written, key) in [
            ("Sara.Smith@Example.COM", "sara.smith@example.com"),
            (" sara@example.com. ", "sara@example.com"),
            ("sara+bank@example.com", "sara@example.com"),
            ("sara+a+b@example.com", "sara@example.com"),
            ("S.a.r.a+x@googlemail.com", "sara@gmail.com"),
            ("sara@bücher.example", "sara@xn--bcher-kva.example"),
            ("sara@xn--bcher-kva.example", "sara@xn--bcher-kva.example"),
        ] {
            assert_eq!(address_key(written), key);
        }
    }

    #[test]
    fn what_only_looks_like_a_spelling_stays_another() {
        for (one, other) in [
            ("sara.smith@example.com", "sarasmith@example.com"),
            ("+1@example.com", "+2@example.com"),
            ("\"a+b\"@example.com", "\"a+c\"@example.com"),
            ("sara@example.com", "sara@example.org"),
            ("sara@mail.gmail.com", "s.ara@mail.gmail.com"),
            ("...@gmail.com", "..@gmail.com"),
            ("nobody", "nobody@"),
        ] {
            assert_ne!(address_key(one), address_key(other), "{one} {other}");
        }
    }

    #[test]
    fn a_number_is_known_with_and_without_its_countrys_code() {
        assert_eq!(phone_key("+1 (555) 010-0001 x7"), phone_key("555 010 0001"));
        assert_eq!(phone_key("+44 (0)20 7946 0000"), phone_key("020 7946 0000"));
        assert_ne!(phone_key("555 010 0001"), phone_key("555 010 0002"));
        assert_eq!(phone_key("ext. 12"), None);
    }

    #[test]
    fn a_home_is_known_by_its_words() {
        assert_eq!(
            home_key("12 High Street\nDover, DE 19901"),
            home_key("12 High Street, Dover DE  19901")
        );
        assert_eq!(home_key("Dover, Delaware"), None);
    }

    proptest! {
        #[test]
        fn a_key_is_its_own_key(address in any::<String>(), domain in "[a-zA-Zäß.%@+-]{0,12}") {
            for address in [address.clone(), format!("{address}@{domain}")] {
                let key = address_key(&address);
                prop_assert_eq!(address_key(&key), key);
            }
        }

        #[test]
        fn case_and_tag_are_no_difference(local in "[a-z0-9._-]{1,12}", tag in "[a-z0-9.+]{0,8}", domain in "[a-z]{1,8}\\.[a-z]{2,5}") {
            let plain = format!("{local}@{domain}");
            let other = format!("{}+{tag}@{}", local.to_uppercase(), domain.to_uppercase());
            prop_assert_eq!(address_key(&plain), address_key(&other));
        }

        #[test]
        fn two_mailboxes_keep_two_keys(one in "[a-z0-9._-]{1,6}@[a-f]{1,4}\\.example", other in "[a-z0-9._-]{1,6}@[a-f]{1,4}\\.example") {
            prop_assert_eq!(address_key(&one) == address_key(&other), one == other);
        }
    }
}
