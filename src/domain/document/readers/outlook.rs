//! The text of a message of Outlook (msg): its headers, its body, and its attachments.
//!
//! <https://learn.microsoft.com/en-us/openspecs/exchange_server_protocols/ms-oxmsg/b046868c-9fbf-41ae-9ffb-8de2bd4eec82>

use std::io::Read;

use encoding_rs::UTF_16LE;
use mail_parser::decoders::html::html_to_text;

use super::mail::{Mail, Part, push_attachments};
use super::rtf::rtf_text;
use crate::domain::document::encoding;
use crate::domain::document::failures::damaged;
use crate::domain::document::ole::{self, Compound};
use crate::domain::failure::Failure;
use crate::domain::limits::{EXTRACTED_TEXT_MAX_BYTES, PACKAGE_ENTRIES_MAX};

/// Reads a message of Outlook.
///
/// # Errors
/// The failure of a damaged file.
pub(in crate::domain::document) fn read_message(bytes: &[u8]) -> Result<Mail, Failure> {
    let mut file = ole::open(bytes)?;
    let mut text = String::new();
    for (name, ids) in [
        ("From", &["0C1A", "0042"][..]),
        ("Sender", &["5D01", "0C1F"]),
        ("To", &["0E04"]),
        ("Cc", &["0E03"]),
        ("Subject", &["0037"]),
    ] {
        let value = ids.iter().find_map(|id| property(&mut file, "", id));
        if let Some(value) = value.filter(|value| !value.trim().is_empty()) {
            text.push_str(&format!("{name}: {}\n", value.replace(['\r', '\n'], " ").trim()));
        }
    }
    text.push('\n');
    text.push_str(body(&mut file).trim());
    text.push('\n');
    let attachments = attachments(&mut file)?;
    push_attachments(&mut text, &attachments);
    if text.trim().is_empty() {
        return Err(damaged("the Outlook message"));
    }
    Ok(Mail { text, attachments })
}

fn body(file: &mut Compound<'_>) -> String {
    if let Some(text) = property(file, "", "1000").filter(|text| !text.trim().is_empty()) {
        return text;
    }
    let html = stream(file, "/__substg1.0_10130102").and_then(|bytes| encoding::decode(&bytes, None));
    if let Some(html) = html.map(|decoded| decoded.text).or_else(|| property(file, "", "1013")) {
        return html_to_text(&html);
    }
    let rtf = stream(file, "/__substg1.0_10090102").and_then(|bytes| decompress_rtf(&bytes));
    rtf.and_then(|rtf| rtf_text(&rtf).ok()).unwrap_or_default()
}

fn attachments(file: &mut Compound<'_>) -> Result<Vec<Part>, Failure> {
    let is_attachment = |name: &str| name.starts_with("__attach_version1.0_");
    let storages: Vec<String> = file
        .read_root_storage()
        .filter(|entry| entry.is_storage() && is_attachment(entry.name()))
        .map(|entry| format!("/{}", entry.name()))
        .take(PACKAGE_ENTRIES_MAX)
        .collect();
    let mut found = Vec::new();
    for storage in storages {
        let name = property(file, &storage, "3707").or_else(|| property(file, &storage, "3704"));
        let name = name.map(|name| name.trim_end_matches('\0').to_owned()).filter(|name| !name.is_empty());
        // A picture that the body shows has a content id.
        let is_shown = property(file, &storage, "3712").is_some()
            && name.as_ref().is_some_and(|name| {
                [".png", ".jpg", ".jpeg", ".gif"].iter().any(|end| name.to_ascii_lowercase().ends_with(end))
            });
        if is_shown {
            continue;
        }
        if let Some(bytes) = stream(file, &format!("{storage}/__substg1.0_37010102")) {
            found.push(Part { name: name.unwrap_or_else(|| "attachment".to_owned()), bytes });
        }
    }
    Ok(found)
}

/// A property that is text, in UTF-16 or in a code page.
fn property(file: &mut Compound<'_>, storage: &str, id: &str) -> Option<String> {
    if let Some(bytes) = stream(file, &format!("{storage}/__substg1.0_{id}001F")) {
        return Some(UTF_16LE.decode_without_bom_handling(&bytes).0.trim_end_matches('\0').to_owned());
    }
    let bytes = stream(file, &format!("{storage}/__substg1.0_{id}001E"))?;
    Some(encoding::decode(&bytes, None)?.text.trim_end_matches('\0').to_owned())
}

fn stream(file: &mut Compound<'_>, path: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    file.open_stream(path).ok()?.read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// Expands compressed RTF.
///
/// <https://learn.microsoft.com/en-us/openspecs/exchange_server_protocols/ms-oxrtfcp/65dfe2df-1b69-43fc-8ebd-21819a7463fb>
fn decompress_rtf(bytes: &[u8]) -> Option<Vec<u8>> {
    const DICTIONARY: &[u8] =
        b"{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern \
        \\fscript \\fdecor MS Sans SerifSymbolArialTimes New RomanCourier{\\colortbl\\red0\\green0\\blue0\r\n\\par \
        \\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx";
    let (header, content) = bytes.split_first_chunk::<16>()?;
    if &header[8..12] == b"MELA" {
        return Some(content.to_vec());
    }
    let mut window = [b' '; 4_096];
    window.get_mut(..DICTIONARY.len())?.copy_from_slice(DICTIONARY);
    let mut at = DICTIONARY.len();
    let mut expanded = Vec::new();
    let mut input = content.iter().copied();
    while let Some(control) = input.next() {
        for bit in 0..8 {
            if control >> bit & 1 == 0 {
                let Some(byte) = input.next() else { return Some(expanded) };
                window[at] = byte;
                at = (at + 1) % window.len();
                expanded.push(byte);
                continue;
            }
            let (Some(high), Some(low)) = (input.next(), input.next()) else { return Some(expanded) };
            let reference = usize::from(u16::from_be_bytes([high, low]));
            let (offset, length) = (reference >> 4, (reference & 15) + 2);
            if offset == at {
                return Some(expanded);
            }
            for step in 0..length {
                let byte = window[(offset + step) % window.len()];
                window[at] = byte;
                at = (at + 1) % window.len();
                expanded.push(byte);
            }
            if expanded.len() > EXTRACTED_TEXT_MAX_BYTES {
                return None;
            }
        }
    }
    Some(expanded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compressed_rtf_is_expanded() {
        // The example of the specification, 4.1.1.
        let bytes = [
            0x2d, 0x00, 0x00, 0x00, 0x2b, 0x00, 0x00, 0x00, 0x4c, 0x5a, 0x46, 0x75, 0xf1, 0xc5, 0xc7, 0xa7, 0x03, 0x00,
            0x0a, 0x00, 0x72, 0x63, 0x70, 0x67, 0x31, 0x32, 0x35, 0x42, 0x32, 0x0a, 0xf3, 0x20, 0x68, 0x65, 0x6c, 0x09,
            0x00, 0x20, 0x62, 0x77, 0x05, 0xb0, 0x6c, 0x64, 0x7d, 0x0a, 0x80, 0x0f, 0xa0,
        ];
        assert_eq!(decompress_rtf(&bytes).unwrap(), b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n");
    }
}
