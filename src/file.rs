//! `replace_file`: a file that is there whole, or as it was before, whenever the process or the machine
//! stops.
//!
//! ```text
//! begun      a new file beside the old one, under a name of its own
//! written    by the caller
//! synced     its bytes are on the disk
//! renamed    it takes the old one's place, in one step
//! done       the folder's new entry is on the disk
//! ```
//!
//! Invariants
//! 1. Under the path lies a whole file or none, at each of these moments.
//! 2. A new file that did not get its place is removed, unless the process has stopped.

use crate::sync::{Figure, Ordering::Relaxed};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

/// Numbers the files of this process.
static NEXT: Figure = Figure::new(0);

/// Writes a file such that at every moment the old one or the new one lies under this path, whole:
/// also if the process is killed or the machine loses its power. For what
/// [`Cache::save`](crate::Cache::save) writes, and for anything else.
///
/// `write` writes a new file beside the old one; that is brought to the disk, renamed, and the folder
/// brought to the disk (on Unix; on WebAssembly, which has no processes, there is no such function). A new file has the permissions of the old one. A
/// process that is killed meanwhile may leave a file beside it, `NAME.PROCESS.NUMBER.tmp`. Several threads
/// may replace a file at once: one of them is the last. Of a link, the link itself is replaced.
///
/// ```
/// use brimful::{Cache, replace_file};
/// use std::fs::File;
/// use std::io::BufReader;
/// use std::time::Duration;
///
/// # let folder = std::env::temp_dir().join(format!("brimful-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// let path = folder.join("pages.json");
/// let pages: Cache<String, String> = Cache::new(1_000);
/// pages.insert("/".into(), "hello".into());
/// replace_file(&path, |file| Ok(pages.save(&mut serde_json::Serializer::new(file))?))?;
///
/// // The next process begins with what was there, or with an empty cache.
/// let pages: Cache<String, String> = Cache::new(1_000);
/// if let Ok(file) = File::open(&path) {
///     let ago = file.metadata()?.modified()?.elapsed().unwrap_or(Duration::MAX);
///     let mut json = serde_json::Deserializer::from_reader(BufReader::new(file));
///     match pages.restore(&mut json, ago) {
///         Ok(restored) => println!("{restored}"),
///         Err(error) => eprintln!("{}: {error}", path.display()),
///     }
/// }
/// assert_eq!(pages.get("/").as_deref(), Some("hello"));
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// Those of the file system, and what `write` returns: then the old file is as it was, but if the last
/// step failed, where the new one has its place and the folder may not be on the disk.
pub fn replace_file(
    path: impl AsRef<Path>,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    let path = path.as_ref();
    let (file, unnamed) = Unnamed::begin(path)?;
    if let Ok(old) = fs::metadata(path) {
        file.set_permissions(old.permissions())?;
    }
    step("begun");
    let mut writer = BufWriter::new(file);
    write(&mut writer)?;
    step("written");
    let file = writer
        .into_inner()
        .map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    step("synced");
    unnamed.rename(path)?;
    step("renamed");
    sync_folder(path)?;
    step("done");
    Ok(())
}

/// A new file that has not got its place. Dropped, it is removed.
struct Unnamed(PathBuf);

impl Unnamed {
    /// Begins a file beside this one. What lies there under its name is of a process that was killed.
    fn begin(path: &Path) -> io::Result<(File, Self)> {
        let name = path.file_name().ok_or_else(|| {
            let problem = format!("{}: no name of a file", path.display());
            io::Error::new(io::ErrorKind::InvalidInput, problem)
        })?;
        let mut beside = OsString::from(name);
        let number = NEXT.fetch_add(1, Relaxed);
        beside.push(format!(".{}.{number}.tmp", std::process::id()));
        let beside = path.with_file_name(beside);
        let file = match File::create_new(&beside) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                fs::remove_file(&beside)?;
                File::create_new(&beside)?
            }
            file => file?,
        };
        Ok((file, Self(beside)))
    }

    /// Takes the place of this file.
    fn rename(self, path: &Path) -> io::Result<()> {
        fs::rename(&self.0, path)?;
        std::mem::forget(self);
        Ok(())
    }
}

impl Drop for Unnamed {
    fn drop(&mut self) {
        // The error that brought us here is the one to tell of.
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Where the process may stop. In tests it does.
#[cfg(not(test))]
fn step(_: &str) {}

#[cfg(test)]
use tests::step;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::process::Command;

    /// Says at which step the process stops.
    const STOP: &str = "BRIMFUL_STOP_AT";

    /// Says which file it replaces.
    const PATH: &str = "BRIMFUL_STOP_PATH";

    /// Larger than what is buffered.
    static NEW: [u8; 100_000] = [7; 100_000];

    pub(super) fn step(reached: &str) {
        if std::env::var_os(STOP).is_some_and(|stop| stop == reached) {
            std::process::abort();
        }
    }

    /// A folder of this test's own.
    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("brimful-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// The process that stops: nothing, where nobody asks it to.
    #[test]
    fn a_process_that_stops() {
        let Some(path) = std::env::var_os(PATH) else {
            return;
        };
        let half = |file: &mut BufWriter<File>| {
            file.write_all(&NEW[..50_000])?;
            file.flush()?;
            step("half written");
            file.write_all(&NEW[50_000..])
        };
        replace_file(path, half).unwrap();
    }

    #[test]
    fn wherever_a_process_stops_the_old_file_or_the_new_one_is_whole() {
        let folder = folder("stops");
        let path = folder.join("saved");
        let steps = [
            "begun",
            "half written",
            "written",
            "synced",
            "renamed",
            "done",
            "never",
        ];
        for (at, stop) in steps.into_iter().enumerate() {
            for old in [None, Some(b"old".to_vec())] {
                let _ = fs::remove_file(&path);
                if let Some(old) = &old {
                    fs::write(&path, old).unwrap();
                }
                let ended = Command::new(std::env::current_exe().unwrap())
                    .args(["--exact", "file::tests::a_process_that_stops"])
                    .envs([(STOP, stop.as_ref()), (PATH, path.as_os_str())])
                    .output()
                    .unwrap();
                assert_eq!(ended.status.success(), stop == "never", "{stop}: {ended:?}");
                let found = fs::read(&path).ok();
                match at < 4 {
                    true => assert_eq!(found, old, "{stop}: the old one"),
                    false => assert_eq!(found.as_deref(), Some(&NEW[..]), "{stop}: the new one"),
                }
            }
        }
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_fails_or_panics_leaves_the_old_file_and_nothing_beside_it() {
        let folder = folder("fails");
        let path = folder.join("saved");
        fs::write(&path, "old").unwrap();
        let failed = replace_file(&path, |file| {
            file.write_all(b"new")?;
            Err(io::Error::other("no more"))
        });
        assert_eq!(failed.unwrap_err().to_string(), "no more");
        let panicked = std::panic::catch_unwind(|| {
            replace_file(&path, |_| std::panic::resume_unwind(Box::new("no more")))
        });
        assert!(panicked.is_err());
        assert!(replace_file("/", |_| Ok(())).is_err());
        assert!(replace_file(folder.join("none/saved"), |_| Ok(())).is_err());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        fs::remove_dir_all(folder).unwrap();
    }

    /// Of a process that had this one's number, as in a container, where all have the same.
    #[test]
    fn what_a_killed_process_left_is_no_hindrance() {
        let folder = folder("left");
        let path = folder.join("saved");
        for number in 0..100 {
            let name = format!("saved.{}.{number}.tmp", std::process::id());
            fs::write(folder.join(name), "half").unwrap();
        }
        replace_file(&path, |file| file.write_all(b"new")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        fs::remove_dir_all(folder).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_new_file_has_the_permissions_of_the_old_one() {
        use std::os::unix::fs::PermissionsExt;
        let folder = folder("mode");
        let path = folder.join("saved");
        fs::write(&path, "secret").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        replace_file(&path, |file| file.write_all(b"new")).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn threads_at_once_leave_a_whole_file() {
        let folder = folder("threads");
        let path = folder.join("saved");
        std::thread::scope(|scope| {
            for byte in 0..8 {
                let path = &path;
                scope.spawn(move || {
                    replace_file(path, |file| file.write_all(&[byte; 60_000])).unwrap();
                });
            }
        });
        let found = fs::read(&path).unwrap();
        assert!(found.len() == 60_000 && found.iter().all(|&byte| byte == found[0]));
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        fs::remove_dir_all(folder).unwrap();
    }
}
