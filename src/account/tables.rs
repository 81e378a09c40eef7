//! What stands in an export, table by table, and what doesn't and why. A test holds both lists against the
//! database's catalogue.

/// A table in the export: a file of JSON lines.
#[derive(Debug)]
pub struct Exported {
    pub table: &'static str,
    /// Columns by which it is read on, after `user_id`, with their types.
    pub order: &'static [(&'static str, &'static str)],
    /// Secrets, and what is made from other columns.
    pub without: &'static [&'static str],
}

/// Derived from the item itself: says whether it has changed.
const MADE: &[&str] = &["dedupe_key", "content_hash"];
const ID: &[(&str, &str)] = &[("id", "uuid")];

const fn by_id(table: &'static str) -> Exported {
    Exported {
        table,
        order: ID,
        without: &[],
    }
}

const fn item(table: &'static str) -> Exported {
    Exported {
        table,
        order: ID,
        without: MADE,
    }
}

const fn ordered(table: &'static str, order: &'static [(&'static str, &'static str)]) -> Exported {
    Exported {
        table,
        order,
        without: &[],
    }
}

/// `users` is the profile and comes first, by itself.
pub const EXPORTED: &[Exported] = &[
    ordered("user_settings", &[]),
    Exported {
        table: "connections",
        order: &[("provider", "text")],
        without: &["access_token", "refresh_token", "refreshing_until"],
    },
    by_id("api_tokens"),
    Exported {
        table: "sessions",
        order: &[("created_at", "timestamptz")],
        without: &["id_hash"],
    },
    item("contacts"),
    item("calendar_events"),
    item("notes"),
    item("deals"),
    item("documents"),
    Exported {
        table: "emails",
        order: ID,
        without: &["dedupe_key"],
    },
    by_id("conversations"),
    by_id("messages"),
    by_id("rules"),
    ordered("rule_runs", &[("rule_id", "uuid"), ("event_id", "uuid")]),
    Exported {
        table: "events",
        order: ID,
        without: &["event_key"],
    },
    Exported {
        table: "webhook_events",
        order: ID,
        without: &["event_key"],
    },
    ordered("tasks", &[("public_id", "uuid")]),
    ordered("ended_tasks", &[("public_id", "uuid")]),
    ordered("task_steps", &[("task_id", "bigint"), ("name", "text")]),
    by_id("approvals"),
    by_id("effects"),
    ordered("activity", &[("place", "bigint")]),
    by_id("awaited"),
    by_id("runs"),
    ordered("run_turns", &[("run_id", "uuid"), ("place", "int")]),
    ordered("usage_days", &[("day", "date"), ("purpose", "text")]),
    by_id("uploads"),
    ordered("sources", &[("source", "text")]),
];

/// Tables with rows of users that no export holds, and why.
pub const LEFT_OUT: &[(&str, &str)] = &[
    ("activity_heads", "the last entry of the log, again"),
    ("api_token_keys", "hashes of secrets"),
    ("appearances", "made from the items themselves"),
    (
        "chunk_embeddings",
        "vectors, made from the items themselves",
    ),
    ("chunks", "passages, made from the items themselves"),
    ("chunks_to_embed", "a list of work that is still to be done"),
    (
        "connection_routes",
        "by which a notification finds its user",
    ),
    ("contact_keys", "made from the contacts themselves"),
    ("index_routes", "which model searches are answered with"),
    ("oauth_states", "sign-ins that are under way, for minutes"),
    (
        "provider_items",
        "which row came from which item of a provider",
    ),
    ("sync_due", "when a source is looked at next"),
    ("task_events", "what tasks were told, for days"),
    ("task_waits", "what tasks wait for; stands with the tasks"),
    (
        "upload_parts",
        "the bytes of an upload until it has been read",
    ),
    ("walked_items", "the place in a walk that is under way"),
    ("watches", "hashes of secrets"),
];
