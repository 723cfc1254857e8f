//! Files that systems and applications leave behind. Nobody wrote them, so no call is paid
//! for them.

/// Their names in lower case.
const NAMES: [&str; 3] = [".ds_store", "thumbs.db", "desktop.ini"];
/// The beginnings of their names in lower case.
const STARTS: [&str; 2] = ["._", "~$"];
/// Their folders in lower case.
const FOLDERS: [&str; 1] = ["__macosx"];

/// Whether the last part of a path is the name of a file that a system or an application
/// leaves behind: `.DS_Store`, `._*`, `Thumbs.db`, `desktop.ini`, `~$*`.
pub fn is_litter(path: &str) -> bool {
    let lower = path.to_lowercase();
    let mut parts = lower.rsplit(['/', '\\']);
    let name = parts.next().unwrap_or_default();
    NAMES.contains(&name)
        || STARTS.iter().any(|start| name.starts_with(start))
        || parts.any(|part| FOLDERS.contains(&part))
}

/// Whether the bytes are of such a file. Its name may be any.
pub(super) fn has_litter_signature(bytes: &[u8]) -> bool {
    // `.DS_Store`, and AppleDouble in both byte orders.
    bytes.starts_with(b"\0\0\0\x01Bud1")
        || bytes.starts_with(b"\0\x05\x16\x07\0")
        || bytes.starts_with(b"\0\x05\x16\0\0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn litter_is_known_by_its_name() {
        for name in [
            ".DS_Store",
            "x/._lease.pdf",
            "uploads/b/Thumbs.db",
            "desktop.ini",
            "Desktop.ini",
            "~$lease.docx",
            "__MACOSX/lease.pdf",
            "a\\~$b.doc",
        ] {
            assert!(is_litter(name), "{name}");
        }
        for name in ["lease.pdf", "DS_Store", "thumbs.db.pdf", ".lease", "~lease.docx", "._/a.txt", "~$x/lease.pdf"] {
            assert!(!is_litter(name), "{name}");
        }
    }
}
