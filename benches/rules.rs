//! What a user's rules cost for one event: `cargo bench --bench rules -- [rules]`. Reading their texts, and
//! holding each against a mail; not the statements that fetch them.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use paraplanner::rules::grammar::{Field, Rule, Value, parse};

const ROUNDS: u32 = 50;

fn facts() -> BTreeMap<Field, Value> {
    let body =
        "We have thought about the college fund and would like to put more into it. ".repeat(160);
    BTreeMap::from([
        (Field::From, Value::text("client7@bigclient.example")),
        (Field::FromDomain, Value::text("bigclient.example")),
        (Field::Subject, Value::text("The quarterly letter")),
        (Field::Body, Value::text(body)),
        (Field::Recipients, Value::list(["advisor@firm.example"])),
        (Field::SenderInCrm, Value::Flag(false)),
        (Field::Size, Value::Number(12_000.0)),
    ])
}

fn text(n: usize) -> String {
    format!(
        "when gmail.message.received if from=*{n}@bigclient.example and subject~\"letter {n}\" \
         and sender_in_crm=no and body~\"trust number {n}\" then create_task type=follow_up title=\"{{subject}}\""
    )
}

fn each(what: &str, mut work: impl FnMut()) {
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let started = Instant::now();
            work();
            started.elapsed()
        })
        .collect();
    times.sort_unstable();
    let millis = |place: usize| times[place].as_secs_f64() * 1000.0;
    let last = times.len() - 1;
    println!(
        "{what}: median {:.2} ms, at most {:.2} ms",
        millis(last / 2),
        millis(last)
    );
}

fn main() {
    let count = std::env::args()
        .skip(1)
        .find_map(|word| word.parse().ok())
        .unwrap_or(1000);
    let texts: Vec<String> = (0..count).map(text).collect();
    each(&format!("reading {count} rules"), || {
        for text in &texts {
            black_box(parse(text)).expect("a rule");
        }
    });
    let rules: Vec<Rule> = texts
        .iter()
        .map(|text| parse(text).expect("a rule"))
        .collect();
    each(&format!("{count} rules on one event"), || {
        let facts = facts();
        for rule in &rules {
            black_box(rule.outcome(&facts, &|_| None));
        }
    });
}
