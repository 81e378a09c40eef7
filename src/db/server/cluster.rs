//! The cluster: where it lies, how it is made, its password.
//!
//! Promises: a directory named `postgres` is a whole cluster or absent, because it is made elsewhere
//! and renamed; the password is ours alone to read. May not know: whether a server runs on it.

use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::account::{self, Account};
use super::installation::Installation;
use super::{Error, files};
use crate::secret::Secret;

/// The database's superuser, and the database.
pub(super) const ROLE: &str = "postgres";

/// The beginning of the names of directories in which a cluster is being made.
const UNFINISHED: &str = "postgres.new-";

/// Where things lie for one data directory.
#[derive(Debug)]
pub(super) struct Place {
    /// The data directory, absolute and without links.
    pub(super) data_dir: PathBuf,
    /// Holds the cluster and the lock: the data directory, unless the server can't get there.
    pub(super) root: PathBuf,
}

impl Place {
    /// Makes the data directory if need be, and settles where the cluster lies.
    pub(super) async fn prepare(data_dir: &Path) -> Result<Self, Error> {
        // The server's account passes through root's; nobody needs to list it.
        let mode = if account::is_root() { 0o711 } else { 0o700 };
        files::make_directory(data_dir, mode).map_err(Error::file("creating", data_dir))?;
        if let Some(place) = Self::find(data_dir)? {
            return Ok(place);
        }
        let data_dir = canonical(data_dir)?;
        let account = Account::of_cluster(&data_dir.join("postgres"))
            .map_err(Error::file("reading", &data_dir))?;
        if account
            .reaches(&data_dir)
            .await
            .map_err(Error::run(Path::new("/bin/sh")))?
        {
            let root = data_dir.clone();
            return Ok(Self { data_dir, root });
        }
        let hash = hex::encode(Sha256::digest(data_dir.as_os_str().as_bytes()));
        let root = Path::new("/var/lib/paraplanner").join(&hash[..16]);
        files::make_directory(&root, 0o711).map_err(Error::file("creating", &root))?;
        let location = location(&data_dir);
        files::write_private(&location, root.as_os_str().as_bytes())
            .map_err(Error::file("writing", &location))?;
        tracing::info!(
            data_dir = %data_dir.display(),
            cluster = %root.display(),
            "the database lies elsewhere, because PostgreSQL does not run as root and no other \
             account can enter the data directory"
        );
        Ok(Self { data_dir, root })
    }

    /// The place of a data directory that has been used before; `None` when it has not.
    pub(super) fn find(data_dir: &Path) -> Result<Option<Self>, Error> {
        if !data_dir.is_dir() {
            return Ok(None);
        }
        let data_dir = canonical(data_dir)?;
        let location = location(&data_dir);
        let root = match std::fs::read(&location) {
            Ok(path) => PathBuf::from(std::ffi::OsStr::from_bytes(&path)),
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::file("reading", &location)(error));
            }
            Err(_)
                if ["postgres", "lock"]
                    .iter()
                    .any(|name| data_dir.join(name).exists()) =>
            {
                data_dir.clone()
            }
            Err(_) => return Ok(None),
        };
        Ok(Some(Self { data_dir, root }))
    }

    pub(super) fn cluster(&self) -> PathBuf {
        self.root.join("postgres")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.data_dir.join("postgres.log")
    }

    fn password_file(&self) -> PathBuf {
        self.data_dir.join("postgres.password")
    }

    /// The password of the cluster's superuser.
    pub(super) fn password(&self) -> Result<Secret<String>, Error> {
        let path = self.password_file();
        match std::fs::read_to_string(&path) {
            Ok(password) => Ok(Secret::new(password)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::NoPassword {
                path,
                cluster: self.cluster(),
            }),
            Err(error) => Err(Error::file("reading", &path)(error)),
        }
    }

    /// The major version that made the cluster; `None` when it is yet to be made.
    pub(super) fn made_by(&self) -> Result<Option<u32>, Error> {
        let path = self.cluster();
        let version = path.join("PG_VERSION");
        match std::fs::read_to_string(&version) {
            Ok(content) => content
                .trim()
                .parse()
                .map(Some)
                .map_err(|_| Error::NotACluster { path }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                match path.read_dir().map(|mut entries| entries.next().is_none()) {
                    // An empty directory is replaced by the rename.
                    Ok(true) => Ok(None),
                    Ok(false) => Err(Error::NotACluster { path }),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                    Err(error) => Err(Error::file("reading", &path)(error)),
                }
            }
            Err(error) => Err(Error::file("reading", &version)(error)),
        }
    }

    /// Makes the cluster with a random password. `sync` has it on the disk before it counts; only
    /// throw-away clusters do without.
    pub(super) async fn make_cluster(
        &self,
        installation: &Installation,
        account: Account,
        sync: bool,
    ) -> Result<(), Error> {
        self.remove_unfinished();
        let work = self
            .root
            .join(format!("{UNFINISHED}{}", random_hex::<8>().expose()));
        files::make_directory(&work, 0o700).map_err(Error::file("creating", &work))?;
        let password = random_hex::<24>();
        // A copy for initdb, which runs under another account; it goes with the directory.
        let copy = work.join("password");
        files::write_private(&copy, password.expose().as_bytes())
            .map_err(Error::file("writing", &copy))?;
        for path in [&copy, &work] {
            account
                .give(path)
                .map_err(Error::file("giving away", path))?;
        }
        let made = work.join("cluster");
        run_initdb(installation, account, &made, &copy, sync).await?;
        let ours = self.password_file();
        // Before the cluster counts: one without its password would be lost.
        files::write_private(&ours, password.expose().as_bytes())
            .map_err(Error::file("writing", &ours))?;
        let cluster = self.cluster();
        std::fs::rename(&made, &cluster)
            .map_err(Error::file("moving the new database to", &cluster))?;
        sync_directory(&self.root).map_err(Error::file("writing", &self.root))?;
        self.remove_unfinished();
        Ok(())
    }

    /// Clears what a killed program left. A failure costs space, nothing else: names are never reused.
    fn remove_unfinished(&self) {
        for entry in self.root.read_dir().into_iter().flatten().flatten() {
            if entry
                .file_name()
                .as_bytes()
                .starts_with(UNFINISHED.as_bytes())
                && let Err(error) = std::fs::remove_dir_all(entry.path())
            {
                tracing::debug!(%error, path = %entry.path().display(), "could not remove");
            }
        }
    }
}

/// Runs initdb.
///
/// Text is compared byte by byte, so that no update of the system's collations can corrupt an index,
/// and the order is the same everywhere. Letters are Unicode's though: with plain `C`, `lower`, `ilike`,
/// full text and trigrams know ASCII alone, and "MÜLLER" would not be found as "Müller".
async fn run_initdb(
    installation: &Installation,
    account: Account,
    to: &Path,
    password: &Path,
    sync: bool,
) -> Result<(), Error> {
    let letters = if cfg!(target_os = "macos") {
        "--lc-ctype=en_US.UTF-8"
    } else {
        "--lc-ctype=C.UTF-8"
    };
    let program = installation.program("initdb");
    let mut command = account.command(&program);
    command
        .arg("--pgdata")
        .arg(to)
        .arg("--pwfile")
        .arg(password)
        .args([
            "--username",
            ROLE,
            "--auth=scram-sha-256",
            "--encoding=UTF8",
        ])
        .args(["--locale=C", letters, "--no-instructions"])
        .kill_on_drop(true);
    if installation.major >= 17 {
        command.args(["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]);
    }
    if !sync {
        command.arg("--no-sync");
    } else if cfg!(target_os = "linux") && installation.major >= 17 {
        // One flush instead of a thousand: on a busy disk 0.8 s instead of 4 s.
        command.arg("--sync-method=syncfs");
    }
    let output = command.output().await.map_err(Error::run(&program))?;
    if output.status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(Error::Init {
        output: complaint.trim().to_owned(),
    })
}

fn location(data_dir: &Path) -> PathBuf {
    data_dir.join("postgres.location")
}

fn canonical(path: &Path) -> Result<PathBuf, Error> {
    path.canonicalize().map_err(Error::file("finding", path))
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Random bytes in hexadecimal digits, which need no quoting anywhere.
fn random_hex<const BYTES: usize>() -> Secret<String> {
    use std::fmt::Write as _;

    let mut text = String::with_capacity(2 * BYTES);
    for byte in rand::random::<[u8; BYTES]>() {
        let _ = write!(text, "{byte:02x}");
    }
    Secret::new(text)
}
