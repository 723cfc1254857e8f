//! A ZIP file as a folder: each entry becomes a separate document. The bounds decide how much
//! of it is expanded, and no entry gets a path outside the folder.

use crate::domain::document::failures::expands_too_far;
use crate::domain::document::litter::is_litter;
use crate::domain::document::package::Package;
use crate::domain::failure::Failure;
use crate::domain::limits::{ARCHIVE_FREE_BYTES, ARCHIVE_RATIO_MAX, CHILD_NAME_MAX_BYTES, CHILDREN_MAX};

/// The documents of a ZIP file: their entries, and their names.
pub(in crate::domain::document) fn list(bytes: &[u8]) -> Result<Vec<(usize, String)>, Failure> {
    let package = Package::open(bytes)?;
    let mut found = Vec::new();
    for (index, name) in package.names.iter().enumerate() {
        if package.is_folder(index) || is_litter(name) {
            continue;
        }
        found.push((index, safe_path(name)));
        if found.len() > CHILDREN_MAX {
            return Err(expands_too_far("documents", CHILDREN_MAX));
        }
    }
    Ok(found)
}

/// Expands the complete ZIP file without keeping it.
///
/// # Errors
/// The failure of a ZIP file that is encrypted or damaged, or expands too far.
pub(in crate::domain::document) fn check(bytes: &[u8]) -> Result<(), Failure> {
    let limit = bytes.len().saturating_mul(ARCHIVE_RATIO_MAX).saturating_add(ARCHIVE_FREE_BYTES);
    Package::open(bytes)?.within(limit).check_expanded()
}

/// Expands one entry.
///
/// # Errors
/// The failure of an entry that is encrypted or damaged, or expands too far.
pub(in crate::domain::document) fn read(bytes: &[u8], index: usize) -> Result<Vec<u8>, Failure> {
    Package::open_unnamed(bytes)?.read(index)
}

/// A relative path without folders above it, and without control characters. It keeps the end
/// of a long name, which has the extension.
pub(in crate::domain::document) fn safe_path(name: &str) -> String {
    let name: String = name.replace('\\', "/").chars().map(|c| if c.is_control() { '_' } else { c }).collect();
    let parts: Vec<&str> = name.split('/').map(str::trim).filter(|part| !["", ".", ".."].contains(part)).collect();
    let path = parts.join("/");
    let begin = path.ceil_char_boundary(path.len().saturating_sub(CHILD_NAME_MAX_BYTES));
    let path = path[begin..].trim_start_matches('/');
    if path.is_empty() { "document".to_owned() } else { path.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_leaves_its_folder() {
        for (name, path) in [
            ("a/b.txt", "a/b.txt"),
            ("../../etc/passwd", "etc/passwd"),
            ("/etc/passwd", "etc/passwd"),
            ("C:\\x\\..\\y.doc", "C:/x/y.doc"),
            ("./a//b/ /c", "a/b/c"),
            ("..", "document"),
            ("", "document"),
            ("a\0b\n", "a_b_"),
        ] {
            assert_eq!(safe_path(name), path);
        }
        let long = safe_path(&format!("{}/é.pdf", "ä".repeat(2_000)));
        assert!(long.len() <= CHILD_NAME_MAX_BYTES && long.ends_with("/é.pdf"));
    }
}
