//! Who lives in the book: the advisor, the households and the professionals around them.
//!
//! Promises: names are made up, addresses stand in RFC 2606's reserved domains, telephone numbers
//! in the 555-01xx block kept for fiction. Surnames are unique to a household, so "the Ashgroves"
//! is nobody else; first names repeat, and a few people are look-alikes on purpose.
//! Knows nothing of what these people do or write.

use chrono::NaiveDate;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::random::{below, chance, pick};

/// Somebody with a name and an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Person {
    pub first: String,
    pub last: String,
    pub email: String,
    pub phone: String,
    pub born_on: NaiveDate,
}

impl Person {
    pub fn full_name(&self) -> String {
        format!("{} {}", self.first, self.last)
    }
}

/// One or two adults with their children; the advisor's unit of work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Household {
    pub last: String,
    pub adults: Vec<Person>,
    /// First names.
    pub children: Vec<String>,
    pub town: String,
    pub client_since: i32,
}

/// An accountant, lawyer, trustee or mediator whom clients name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Professional {
    pub person: Person,
    pub firm: String,
}

const ADULTS: &[&str] = &[
    "Sara", "Sarah", "Greg", "Craig", "Jon", "John", "Anne", "Anna", "Maria", "Marie", "Brian",
    "Bryan", "Helen", "Ellen", "Karl", "Carl", "Priya", "Diego", "Mei", "Omar", "Ingrid", "Tobias",
    "Yusuf", "Nadia", "Pavel", "Lucia", "Kwame", "Hana", "Victor", "Dolores", "Stefan", "Amara",
    "Ruth", "Walter", "Gloria", "Hector", "Joyce", "Leon", "Miriam", "Neil", "Olga", "Preston",
    "Rita", "Samuel", "Teresa", "Ulrich", "Vera", "Winston", "Yolanda", "Derek",
];
const CHILDREN: &[&str] = &[
    "Leo", "Mia", "Theo", "Zoe", "Max", "Ava", "Finn", "Ella", "Noah", "Lily", "Oscar", "Ruby",
    "Eli", "Maya", "Hugo", "Nora", "Felix", "Iris", "Jonah", "Tess", "Milo", "Lena", "Owen",
    "June", "Asher", "Clara", "Ravi", "Sofia", "Kofi", "Yuki",
];
const STEMS: &[&str] = &[
    "Ash", "Bell", "Copper", "Dun", "Elder", "Fal", "Gar", "Hazel", "Iron", "Juni", "Kess", "Lark",
    "Marl", "Nettle", "Oak", "Pell", "Quill", "Rook", "Silver", "Thorn", "Umber", "Vale", "Wick",
    "Yarrow",
];
const ENDINGS: &[&str] = &[
    "grove", "wether", "field", "combe", "worth", "sby", "brook", "hurst", "mont", "spur", "wick",
    "ridge", "stead", "gate",
];
const TOWNS: &[&str] = &[
    "Fairhollow",
    "Millbrook Heights",
    "Eastmarsh",
    "Kingsbarrow",
    "Dovecote",
    "Long Ferry",
    "Ambleton",
    "Stonecross",
];
const DOMAINS: &[&str] = &[
    "mail.example.com",
    "inbox.example.org",
    "post.example.net",
    "home.example.com",
    "letters.example.org",
];
const PROFESSIONAL_FIRST: &[&str] = &[
    "Dana",
    "Ezra",
    "Fiona",
    "Gideon",
    "Harriet",
    "Ivo",
    "Josephine",
    "Kiran",
    "Lorna",
    "Magnus",
    "Noemi",
    "Orson",
    "Petra",
    "Quentin",
    "Rosa",
    "Silas",
    "Thea",
    "Ursula",
    "Vaughn",
    "Wanda",
];
const PROFESSIONAL_LAST: &[&str] = &[
    "Featherstonehaugh",
    "Mapleton",
    "Pemberquill",
    "Saltonstow",
    "Birdwhistle",
    "Crumhorn",
    "Dapperling",
    "Everwood",
    "Gladwater",
    "Hollister-Finch",
    "Inkpen",
    "Jellicoe",
    "Longbottle",
    "Merriweather",
    "Nightingale-Ross",
    "Oxbow",
    "Pettigrain",
    "Ravensby",
    "Summerscale",
    "Tolliver",
    "Underhay",
    "Vintner",
    "Whimbrel",
    "Yellowlees",
];

/// Couples whose names are easily confused; they open every book.
const LOOKALIKES: &[(&str, &[&str], &[&str])] = &[
    ("Smith", &["Sara", "Derek"], &["Mia", "Hugo"]),
    ("Smythe", &["Sarah", "Leon"], &["Nora"]),
    ("Larkspur", &["Greg", "Amara"], &["Zoe"]),
    ("Larksbur", &["Craig", "Rita"], &["Eli", "Ruby"]),
    ("Petersen", &["Jon", "Vera"], &["Theo", "Clara"]),
    ("Pedersen", &["John", "Anna"], &["Finn"]),
    ("Brightwater", &["Brian", "Hana"], &["Leo", "Iris"]),
    ("Brightwalter", &["Bryan"], &["Maya"]),
];

/// How many households, from the first, have names that resemble another's.
pub fn lookalikes() -> usize {
    LOOKALIKES.len()
}

/// The advisor whose book this is.
pub fn advisor() -> Person {
    Person {
        first: "Alex".into(),
        last: "Morgan".into(),
        email: "alex@morgan-advisory.example".into(),
        phone: "+1-202-555-0100".into(),
        born_on: NaiveDate::from_ymd_opt(1979, 5, 2).unwrap_or_default(),
    }
}

/// `count` households, the look-alikes first.
pub fn households(rng: &mut ChaCha8Rng, count: usize, today: NaiveDate) -> Vec<Household> {
    let mut composed: Vec<String> = STEMS
        .iter()
        .flat_map(|stem| ENDINGS.iter().map(move |ending| format!("{stem}{ending}")))
        .filter(|name| LOOKALIKES.iter().all(|(last, ..)| last != name))
        .collect();
    composed.shuffle(rng);
    let mut surnames = surnames(&composed);
    (0..count)
        .map(|index| {
            if let Some((last, adults, children)) = LOOKALIKES.get(index) {
                return household(rng, last, adults, children, today);
            }
            let last = surnames.next().unwrap_or_default();
            let mut adults = vec![pick(rng, ADULTS)];
            if chance(rng, 70) {
                let other = pick(rng, ADULTS);
                if other != adults[0] {
                    adults.push(other);
                }
            }
            let mut children = CHILDREN.to_vec();
            children.shuffle(rng);
            let count = if chance(rng, 45) {
                0
            } else {
                1 + below(rng, 3)
            };
            children.truncate(count);
            household(rng, &last, &adults, &children, today)
        })
        .collect()
}

/// Every name, then every two of them joined by a hyphen: unique for a book of any size.
fn surnames(composed: &[String]) -> impl Iterator<Item = String> {
    (0..composed.len()).flat_map(move |hop| {
        composed.iter().enumerate().map(move |(place, name)| {
            let other = &composed[(place + hop) % composed.len()];
            if hop == 0 {
                name.clone()
            } else {
                format!("{name}-{other}")
            }
        })
    })
}

fn household(
    rng: &mut ChaCha8Rng,
    last: &str,
    adults: &[&str],
    children: &[&str],
    today: NaiveDate,
) -> Household {
    let domain = pick(rng, DOMAINS);
    let adults = adults
        .iter()
        .map(|first| {
            // Those without children at home are old enough for what `Kind::needs_age` asks.
            let oldest = if children.is_empty() { 1942 } else { 1970 };
            person(rng, first, last, domain, oldest)
        })
        .collect();
    Household {
        last: last.to_owned(),
        adults,
        children: children.iter().map(|&name| name.to_owned()).collect(),
        town: pick(rng, TOWNS).to_owned(),
        client_since: chrono::Datelike::year(&today) - 1 - below_i32(rng, 14),
    }
}

fn person(rng: &mut ChaCha8Rng, first: &str, last: &str, domain: &str, oldest: i32) -> Person {
    let area = 200 + below(rng, 700);
    let born_on = NaiveDate::from_ymd_opt(oldest, 1, 1).unwrap_or_default()
        + chrono::Days::new(below(rng, 20 * 365) as u64);
    Person {
        first: first.to_owned(),
        last: last.to_owned(),
        email: format!("{}.{}@{domain}", first.to_lowercase(), last.to_lowercase()),
        phone: format!("+1-{area}-555-01{:02}", below(rng, 100)),
        born_on,
    }
}

fn below_i32(rng: &mut ChaCha8Rng, bound: i32) -> i32 {
    rand::Rng::random_range(rng, 0..bound)
}

/// Professionals for a book of this size: few enough that clients share them.
pub fn professionals(rng: &mut ChaCha8Rng, households: usize) -> Vec<Professional> {
    let mut names: Vec<(&str, &str)> = PROFESSIONAL_FIRST
        .iter()
        .flat_map(|first| PROFESSIONAL_LAST.iter().map(move |last| (*first, *last)))
        .collect();
    names.shuffle(rng);
    names.truncate((households / 3).max(12));
    names
        .into_iter()
        .map(|(first, last)| Professional {
            person: person(rng, first, last, "office.example.org", 1960),
            firm: format!("{last} & Partners"),
        })
        .collect()
}
