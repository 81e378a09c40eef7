//! The arrows of ARCHITECTURE.md, held against every `crate::…` in the source, and the rules for
//! migrations, held against every file.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

/// Tiers from the lowest; within a tier modules may use one another, slices only those before them.
const FOUNDATION: &[&str] = &[
    "clock",
    "config",
    "db",
    "failpoint",
    "html",
    "http",
    "ids",
    "secret",
    "telemetry",
];
const OUTSIDE: &[&str] = &["providers"];
const ENGINES: &[&str] = &["activity", "limits", "live", "state", "tasks"];
const SLICES: &[&str] = &[
    "identity",
    "demo_clock",
    "llm",
    "book",
    "demo_letter",
    "effects",
    "events",
    "webhooks",
    "retrieval",
    "ingest",
    "rules",
    "agent",
    "chat",
    "account",
    "operations",
    "mcp",
    "page",
];
const BESIDE: &[&str] = &["demo", "simulator"];
const WIRING: &[&str] = &["app", "commands", "main", "lib"];

/// `demo` knows nobody, and `ingest` fills the invented book with it.
const EXCEPTIONS: &[(&str, &str)] = &[("ingest", "demo")];

fn rank(module: &str) -> Option<usize> {
    let place = |tier: &[&str]| tier.iter().position(|name| *name == module);
    if place(FOUNDATION).is_some() {
        return Some(0);
    }
    if place(OUTSIDE).is_some() {
        return Some(1);
    }
    if place(ENGINES).is_some() {
        return Some(2);
    }
    if let Some(place) = place(SLICES) {
        return Some(3 + place);
    }
    // Used by wiring and by its one exception; itself it may use the foundation alone.
    if place(BESIDE).is_some() {
        return Some(100);
    }
    place(WIRING).map(|_| 1000)
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn arrows_point_one_way() {
    let source = root().join("src");
    let mut files = Vec::new();
    sources(&source, &mut files);
    assert!(files.len() > 50, "the sources are found");
    let used = Regex::new(r"\bcrate::(?:\{([^}]*)\}|([a-z_]+))").expect("a pattern");
    let name = Regex::new(r"^\s*([a-z_]+)").expect("a pattern");
    let mut wrong = BTreeSet::new();
    let mut unknown = BTreeSet::new();
    for file in files {
        let inside = file.strip_prefix(&source).expect("below src");
        let module = inside
            .iter()
            .next()
            .and_then(|first| Path::new(first).file_stem())
            .and_then(|stem| stem.to_str())
            .expect("a module")
            .to_owned();
        let text = fs::read_to_string(&file).expect("a readable file");
        let code = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        let code = code.collect::<Vec<_>>().join("\n");
        for found in used.captures_iter(&code) {
            let names = match (found.get(1), found.get(2)) {
                (Some(list), _) => list.as_str().split(',').collect(),
                (_, Some(one)) => vec![one.as_str()],
                _ => Vec::new(),
            };
            for to in names {
                let Some(to) = name.captures(to).and_then(|found| found.get(1)) else {
                    continue;
                };
                let to = to.as_str();
                let (Some(from_rank), Some(to_rank)) = (rank(&module), rank(to)) else {
                    unknown.insert(format!("{module} → {to}"));
                    continue;
                };
                let allowed = module == to
                    || EXCEPTIONS.contains(&(module.as_str(), to))
                    || (BESIDE.contains(&module.as_str()) && to_rank == 0)
                    || (!BESIDE.contains(&module.as_str())
                        && to_rank <= from_rank
                        && to_rank != 100)
                    || from_rank == 1000;
                if !allowed {
                    wrong.insert(format!("{module} → {to} ({})", inside.display()));
                }
            }
        }
    }
    assert!(
        unknown.is_empty(),
        "give these a place in the map: {unknown:#?}"
    );
    assert!(
        wrong.is_empty(),
        "arrows that point the wrong way: {wrong:#?}"
    );
}

#[test]
fn the_map_names_every_module() {
    let map = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("the map");
    let tree = fs::read_to_string(root().join("src/lib.rs")).expect("the module tree");
    for line in tree.lines() {
        if let Some(module) = line.trim().strip_prefix("pub mod ") {
            let module = module.trim_end_matches(';');
            assert!(
                map.contains(&format!("`{module}`")),
                "{module} isn't in ARCHITECTURE.md"
            );
            assert!(rank(module).is_some(), "{module} has no tier here");
        }
    }
}

#[test]
fn migrations_say_why_and_are_safe_beside_the_version_that_runs() {
    let mut files: Vec<PathBuf> = fs::read_dir(root().join("migrations"))
        .expect("migrations")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    assert!(files.len() > 5, "the migrations are found");
    let adds = Regex::new(r"(?i)add column[^,;]*not null").expect("a pattern");
    for file in files {
        let text = fs::read_to_string(&file).expect("a migration");
        let name = file.display();
        assert!(text.starts_with("-- "), "{name} begins with why");
        for found in adds.find_iter(&text) {
            let column = found.as_str();
            assert!(
                column.to_lowercase().contains("default"),
                "{name}: {column} has no default"
            );
        }
        for risky in ["drop column", "rename column", "rename to"] {
            assert!(
                !text.to_lowercase().contains(risky),
                "{name}: {risky} breaks the version that still runs"
            );
        }
    }
}

/// The generated contract takes the last of two for both.
#[test]
fn no_two_schemas_of_the_contract_share_a_name() {
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    let schema = Regex::new(
        r"#\[derive\([^)]*ToSchema[^)]*\)\](?:\s*#\[([^\]]*)\]|\s*///[^\n]*)*\s*(?:pub(?:\([a-z ]+\))? )?(?:struct|enum) (\w+)",
    )
    .expect("a pattern");
    let mut names = BTreeSet::new();
    let mut twice = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("a readable file");
        for found in schema.captures_iter(&text) {
            let renamed = found
                .get(0)
                .and_then(|all| all.as_str().split_once("schema(as = "))
                .and_then(|(_, rest)| rest.split([')', ',']).next());
            let name = renamed.unwrap_or(&found[2]);
            if !names.insert(name.to_owned()) {
                twice.insert(name.to_owned());
            }
        }
    }
    assert!(names.len() > 50, "the schemas are found: {}", names.len());
    assert!(twice.is_empty(), "{twice:?}");
}
