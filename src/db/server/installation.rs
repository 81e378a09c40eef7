//! Which PostgreSQL is started: one on this machine that has our extensions, else a fetched one.
//!
//! Promises: an installation is used only if it has every extension, is recent enough, matches the
//! cluster that is there, and runs under the account of the server (which was tried).

use std::path::{Path, PathBuf};

use super::account::Account;
use super::{Error, fetch};

/// Older ones lack what our migrations use.
const OLDEST: u32 = 15;

/// The control files that an installation must have.
const EXTENSIONS: [&str; 3] = ["vector", "pg_trgm", "unaccent"];

/// Where packages put installations: a directory, the beginning of the names in it, and the way on
/// to the binaries. Debian, Red Hat, Homebrew on either processor, Postgres.app.
const LAYOUTS: [(&str, &str, &str); 5] = [
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr", "pgsql-", "bin"),
    ("/opt/homebrew/opt", "postgresql@", "bin"),
    ("/usr/local/opt", "postgresql@", "bin"),
    ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
];

/// Binaries that can serve us.
#[derive(Clone, Debug)]
pub(super) struct Installation {
    bin: PathBuf,
    pub(super) major: u32,
}

impl Installation {
    /// The first that serves; with `wanted`, only of that major version.
    pub(super) async fn find(
        account: Account,
        cluster: &Path,
        wanted: Option<u32>,
    ) -> Result<Self, Error> {
        let mut others = Vec::new();
        for pg_config in candidates() {
            let Some(found) = Self::inspect(account, &pg_config).await else {
                continue;
            };
            if wanted.is_none_or(|wanted| wanted == found.major) {
                tracing::debug!(bin = %found.bin.display(), major = found.major, "found PostgreSQL");
                return Ok(found);
            }
            others.push(found.major.to_string());
        }
        others.push(fetch::MAJOR.to_string());
        if let Some(made_by) = wanted.filter(|&wanted| wanted != fetch::MAJOR) {
            return Err(Error::OtherMajor {
                cluster: cluster.to_owned(),
                made_by,
                available: others.join(", "),
            });
        }
        let bin = fetch::binaries().await?;
        Self::inspect(account, &bin.join("pg_config"))
            .await
            .ok_or_else(|| Error::NoInstallation {
                fetching: format!("the one fetched to {} does not run here", bin.display()),
            })
    }

    /// The path of one of its programs.
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }

    /// Asks an installation; `None` when it doesn't serve, for whatever reason.
    async fn inspect(account: Account, pg_config: &Path) -> Option<Self> {
        if !pg_config.is_file() {
            return None;
        }
        let directories = output(account, pg_config, &["--bindir", "--sharedir"]).await?;
        let mut directories = directories.lines();
        let bin = PathBuf::from(directories.next()?);
        let extensions = Path::new(directories.next()?).join("extension");
        let complete = EXTENSIONS
            .iter()
            .all(|name| extensions.join(name).with_extension("control").is_file())
            && bin.join("initdb").is_file();
        if !complete {
            return None;
        }
        let version = output(account, &bin.join("postgres"), &["--version"]).await?;
        let major = major_of(&version)?;
        (major >= OLDEST).then_some(Self { bin, major })
    }
}

/// Every `pg_config` that may be somewhere, the one on the search path first.
fn candidates() -> Vec<PathBuf> {
    // Where programs are is not a setting of this program, so `config` does not know it.
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found: Vec<PathBuf> = std::env::split_paths(&path)
        .filter(|directory| directory.is_absolute())
        .collect();
    for (root, beginning, rest) in LAYOUTS {
        let Ok(entries) = std::fs::read_dir(root) else {
            continue;
        };
        let mut versions: Vec<(u32, PathBuf)> = entries
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let name = entry.file_name();
                let major = name.to_str()?.strip_prefix(beginning)?.parse().ok()?;
                Some((major, entry.path().join(rest)))
            })
            .collect();
        versions.sort_by_key(|&(major, _)| std::cmp::Reverse(major));
        found.extend(versions.into_iter().map(|(_, bin)| bin));
    }
    for directory in &mut found {
        directory.push("pg_config");
    }
    let mut seen = std::collections::HashSet::new();
    found.retain(|path| seen.insert(path.clone()));
    found
}

async fn output(account: Account, program: &Path, arguments: &[&str]) -> Option<String> {
    let output = account
        .command(program)
        .args(arguments)
        .output()
        .await
        .ok()?;
    (output.status.success()).then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The major version in `postgres (PostgreSQL) 18.6 (Debian 18.6-1)`, also of `19beta1`.
fn major_of(version: &str) -> Option<u32> {
    let number = version.split(')').nth(1)?.trim_start();
    let digits = number
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(number.len());
    number[..digits].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_major_version() {
        for (text, major) in [
            ("postgres (PostgreSQL) 18.6\n", Some(18)),
            (
                "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n",
                Some(15),
            ),
            ("postgres (PostgreSQL) 19beta1\n", Some(19)),
            ("something else", None),
        ] {
            assert_eq!(major_of(text), major, "{text:?}");
        }
    }

    #[test]
    fn looks_nowhere_twice() {
        let mut candidates = candidates();
        let all = candidates.len();
        candidates.sort();
        candidates.dedup();
        assert_eq!(candidates.len(), all);
    }
}
