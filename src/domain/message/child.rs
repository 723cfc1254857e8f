//! The jobs of documents inside a document: their ids, and the keys of their objects.

use crate::domain::document::sha256_hex;
use crate::domain::ids::JobId;
use crate::domain::limits::{ID_MAX_BYTES, KEY_MAX_BYTES};

/// The prefix of documents that Docket stores itself.
const DOCUMENTS_PREFIX: &str = "documents/";
/// The bytes of a parent's id that stay in the id of a child, if the complete id is too long.
const PARENT_ID_KEPT_BYTES: usize = 80;
/// The characters of the hash that replaces the remainder.
const HASH_CHARS: usize = 16;

/// The id of a child, by its number from 1: `{parent}.{number}`. An id that would be too long
/// has a hash in place of its parent's end.
pub fn child_id(parent: &JobId, number: usize) -> JobId {
    let id = format!("{parent}.{number}");
    let id = if id.len() <= ID_MAX_BYTES {
        id
    } else {
        let hash = sha256_hex(parent.as_str().as_bytes());
        format!("{}-{}.{number}", &parent.as_str()[..PARENT_ID_KEPT_BYTES], &hash[..HASH_CHARS])
    };
    // Both forms have allowed characters and fit.
    id.parse().unwrap_or_else(|_| parent.clone())
}

/// The key of a child's object: `documents/{child}/d{depth}/{parent's name}/{name}`. It names
/// the child after its parent, which may have no name.
pub fn child_key(child: &JobId, depth: usize, parent: Option<&str>, name: &str) -> String {
    let prefix = format!("{DOCUMENTS_PREFIX}{child}/d{depth}/");
    let parent = parent.unwrap_or_default();
    let free = KEY_MAX_BYTES - prefix.len() - 1;
    let name = &name[name.ceil_char_boundary(name.len().saturating_sub(free))..];
    let left = free - name.len();
    let parent = &parent[..parent.floor_char_boundary(left.min(parent.len()))];
    if parent.is_empty() { format!("{prefix}{name}") } else { format!("{prefix}{parent}/{name}") }
}

/// The number of documents that a job's document is inside of.
pub fn child_depth(key: Option<&str>, job_id: &JobId) -> usize {
    let rest =
        key.and_then(|key| key.strip_prefix(DOCUMENTS_PREFIX)).and_then(|rest| rest.strip_prefix(job_id.as_str()));
    rest.and_then(|rest| split_depth(rest.strip_prefix('/')?)).map_or(0, |(depth, _)| depth)
}

/// The name of a child in its key; `None` for another key.
pub fn child_name(key: &str) -> Option<&str> {
    let (_, rest) = key.strip_prefix(DOCUMENTS_PREFIX)?.split_once('/')?;
    split_depth(rest).map(|(_, name)| name)
}

/// Splits `d{depth}/{name}`.
fn split_depth(rest: &str) -> Option<(usize, &str)> {
    let (depth, name) = rest.strip_prefix('d')?.split_once('/')?;
    Some((depth.parse().ok()?, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn child_is_named_after_its_parent() {
        let parent: JobId = "b-7".parse().unwrap();
        let child = child_id(&parent, 12);
        assert_eq!(child.as_str(), "b-7.12");
        let key = child_key(&child, 1, Some("b/mail.eml"), "lease.pdf");
        assert_eq!(key, "documents/b-7.12/d1/b/mail.eml/lease.pdf");
        assert_eq!((child_name(&key), child_depth(Some(&key), &child)), (Some("b/mail.eml/lease.pdf"), 1));
        let inner = child_key(&child_id(&child, 1), 2, child_name(&key), "a.txt");
        assert_eq!(inner, "documents/b-7.12.1/d2/b/mail.eml/lease.pdf/a.txt");
        assert_eq!(child_depth(Some("uploads/b/mail.eml"), &parent), 0);
        assert_eq!(child_name("documents/b-7/0123.txt"), None);
        assert_eq!(child_key(&child, 1, None, "a.txt"), "documents/b-7.12/d1/a.txt");
    }

    #[test]
    fn long_ids_and_names_are_cut() {
        let parent: JobId = "x".repeat(ID_MAX_BYTES).parse().unwrap();
        let other: JobId = format!("{}y", "x".repeat(ID_MAX_BYTES - 1)).parse().unwrap();
        let (a, b) = (child_id(&parent, 1_000), child_id(&other, 1_000));
        assert!(a != b && a.as_str().ends_with(".1000") && a.as_str().len() <= ID_MAX_BYTES);
        let key = child_key(&a, 3, Some(&"ä".repeat(500)), &"é".repeat(200));
        assert!(key.len() <= KEY_MAX_BYTES && key.ends_with(&"é".repeat(200)));
    }
}
