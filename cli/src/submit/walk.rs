//! The walk over the caller's files: which of them are documents, and why others are skipped.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Component, Path, PathBuf};

use docket::domain::document::litter::is_litter;
use docket::domain::limits::{CHUNKS_MAX, DOCUMENT_MAX_BYTES, ID_MAX_BYTES, KEY_MAX_BYTES};
use docket::domain::message::submitted::SUBMITTED_HIGH_PREFIX;
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use unicode_normalization::UnicodeNormalization;
use walkdir::{DirEntry, WalkDir};

/// Bytes of the longest text that any stack analyses.
pub(crate) const FILE_MAX_BYTES: u64 = (CHUNKS_MAX * DOCUMENT_MAX_BYTES) as u64;
/// Bytes of the longest path that fits every key.
const PATH_MAX_BYTES: usize = KEY_MAX_BYTES - SUBMITTED_HIGH_PREFIX.len() - 2 * (ID_MAX_BYTES + 1);

/// A file to submit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// Where the file is.
    pub file: PathBuf,
    /// The relative path with `/` between its parts, in Unicode's form NFC.
    pub path: String,
    /// Bytes, when the walk saw the file.
    pub size: u64,
}

/// Why a file is not submitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    /// A file of the system or of an application.
    SystemFile,
    /// No bytes.
    Empty,
    /// A pattern of the caller.
    Excluded,
    /// More than [`FILE_MAX_BYTES`].
    TooLarge,
    /// A symbolic link.
    Link,
    /// A device, a pipe or a socket.
    NotAFile,
    /// A name that is not Unicode.
    Name,
    /// A path of more than [`PATH_MAX_BYTES`].
    LongPath,
    /// The same path and the same bytes as another file of this run.
    Repeated,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SystemFile => f.write_str("system file"),
            Self::Empty => f.write_str("empty file"),
            Self::Excluded => f.write_str("excluded by --exclude"),
            Self::TooLarge => write!(f, "larger than {} MB", FILE_MAX_BYTES / 1_000_000),
            Self::Link => f.write_str("symbolic link"),
            Self::NotAFile => f.write_str("not a regular file"),
            Self::Name => f.write_str("the name is not valid Unicode"),
            Self::LongPath => write!(f, "the path has more than {PATH_MAX_BYTES} bytes"),
            Self::Repeated => f.write_str("same path and bytes as another file"),
        }
    }
}

/// One step of the walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    /// A file to submit.
    File(Found),
    /// A file or a folder that is not submitted.
    Skipped {
        /// Its path as the caller can find it.
        path: String,
        /// Why.
        reason: Reason,
    },
    /// A file or a folder that cannot be read.
    Unreadable {
        /// Its path.
        path: String,
        /// The operating system's error.
        error: String,
    },
}

/// The patterns of `--exclude`. A pattern without `/` fits a name in any folder; `*` fits no
/// `/`, and `**` does.
///
/// # Errors
/// The first pattern that is not valid, with its problem.
pub(super) fn parse_exclusions(patterns: &[String]) -> Result<GlobSet, String> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let glob = GlobBuilder::new(pattern.trim_end_matches('/')).literal_separator(true).build();
        set.add(glob.map_err(|error| format!("--exclude {pattern}: {}", error.kind()))?);
    }
    set.build().map_err(|error| format!("--exclude: {error}"))
}

/// Calls `visit` for everything under `paths`, until it returns `false`. A file has its name
/// as its path; a file in a folder has its path in that folder. The order is that of the
/// file system, so that the walk needs little memory.
pub(super) fn walk(paths: &[PathBuf], exclusions: &GlobSet, mut visit: impl FnMut(Entry) -> bool) {
    for root in paths {
        let mut entries = WalkDir::new(root).into_iter();
        while let Some(entry) = entries.next() {
            let step = match entry {
                Ok(entry) => {
                    let step = judge(root, &entry, exclusions);
                    let is_skipped = matches!(step, Some(Entry::Skipped { .. }));
                    if is_skipped && entry.file_type().is_dir() {
                        entries.skip_current_dir();
                    }
                    step
                }
                Err(error) => Some(unreadable(root, &error)),
            };
            if step.is_some_and(|step| !visit(step)) {
                return;
            }
        }
    }
}

fn unreadable(root: &Path, error: &walkdir::Error) -> Entry {
    let path = error.path().unwrap_or(root).display().to_string();
    Entry::Unreadable { path, error: error.io_error().map_or_else(|| error.to_string(), ToString::to_string) }
}

/// Judges an entry; `None` for a folder that the walk enters.
fn judge(root: &Path, entry: &DirEntry, exclusions: &GlobSet) -> Option<Entry> {
    let file = entry.path();
    let skipped = |reason| Some(Entry::Skipped { path: file.display().to_string(), reason });
    let is_root = entry.depth() == 0;
    // The root itself may be a link: the caller named it.
    let kind = if is_root { file.metadata().map(|found| found.file_type()) } else { Ok(entry.file_type()) };
    let kind = match kind {
        Ok(kind) => kind,
        Err(error) => return Some(Entry::Unreadable { path: file.display().to_string(), error: error.to_string() }),
    };
    if is_root && kind.is_dir() {
        return None;
    }
    let relative = if is_root { file.file_name().map(Path::new) } else { file.strip_prefix(root).ok() };
    let Some(path) = relative.and_then(join_parts) else { return skipped(Reason::Name) };
    let name = path.rsplit('/').next().unwrap_or_default();
    if exclusions.is_match(&path) || exclusions.is_match(name) {
        return skipped(Reason::Excluded);
    }
    if kind.is_dir() {
        return None;
    }
    if is_litter(name) {
        return skipped(Reason::SystemFile);
    }
    if kind.is_symlink() {
        return skipped(Reason::Link);
    }
    if !kind.is_file() {
        return skipped(Reason::NotAFile);
    }
    let size = match file.metadata() {
        Ok(found) => found.len(),
        Err(error) => return Some(Entry::Unreadable { path, error: error.to_string() }),
    };
    match check_sizes(&path, size) {
        Err(reason) => skipped(reason),
        Ok(()) => Some(Entry::File(Found { file: file.to_owned(), path, size })),
    }
}

/// Judges a file by its relative path and its bytes, and returns the name of the document.
///
/// # Errors
/// The reason for which the file is not submitted.
pub(crate) fn check_file(path: &str, size: u64) -> Result<String, Reason> {
    let is_relative = path.split('/').all(|part| !["", ".", ".."].contains(&part));
    if !is_relative || path.contains(['\\', '\0']) {
        return Err(Reason::Name);
    }
    if is_litter(path.rsplit('/').next().unwrap_or_default()) {
        return Err(Reason::SystemFile);
    }
    let path: String = path.nfc().collect();
    check_sizes(&path, size).map(|()| path)
}

fn check_sizes(path: &str, size: u64) -> Result<(), Reason> {
    match size {
        0 => Err(Reason::Empty),
        _ if size > FILE_MAX_BYTES => Err(Reason::TooLarge),
        _ if path.len() > PATH_MAX_BYTES => Err(Reason::LongPath),
        _ => Ok(()),
    }
}

/// The relative path in the form of the job id's rule; `None` if a part is not Unicode.
fn join_parts(relative: &Path) -> Option<String> {
    let parts = relative.components().map(|part| match part {
        Component::Normal(name) => OsStr::to_str(name),
        _ => None,
    });
    let parts: Option<Vec<&str>> = parts.collect();
    Some(parts?.join("/").nfc().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_of_a_page_keeps_the_rules_of_a_walk() {
        assert_eq!(check_file("no\u{308}rd/a.txt", 1).as_deref(), Ok("n\u{f6}rd/a.txt"));
        for (path, size, reason) in [
            ("../a", 1, Reason::Name),
            ("/a", 1, Reason::Name),
            ("a//b", 1, Reason::Name),
            ("x/.DS_Store", 1, Reason::SystemFile),
            ("a", 0, Reason::Empty),
            ("a", FILE_MAX_BYTES + 1, Reason::TooLarge),
            (&"a".repeat(PATH_MAX_BYTES + 1), 1, Reason::LongPath),
        ] {
            assert_eq!(check_file(path, size), Err(reason), "{path}");
        }
    }

    #[test]
    fn path_is_normalised_and_has_slashes() {
        assert_eq!(join_parts(Path::new("no\u{308}rd/a b.txt")).as_deref(), Some("n\u{f6}rd/a b.txt"));
        assert_eq!(join_parts(Path::new("../a")), None);
    }

    #[test]
    fn pattern_without_slash_fits_any_folder() {
        let set = parse_exclusions(&["*.tmp".to_owned(), "drafts/*".to_owned(), "old/**".to_owned()]).unwrap();
        let fits = |path: &str| set.is_match(path) || set.is_match(path.rsplit('/').next().unwrap());
        for path in ["a.tmp", "x/y/a.tmp", "drafts/a", "old/x/y"] {
            assert!(fits(path), "{path}");
        }
        for path in ["a.txt", "drafts/x/a", "very/old/a"] {
            assert!(!fits(path), "{path}");
        }
        assert!(parse_exclusions(&["[".to_owned()]).unwrap_err().starts_with("--exclude ["));
    }
}
