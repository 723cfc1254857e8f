//! The text of an EPUB: its chapters in the order of its spine.

use mail_parser::decoders::html::html_to_text;

use super::office::resolve;
use crate::domain::document::failures::{damaged, encrypted, expands_too_far};
use crate::domain::document::package::{Package, attribute, for_each_element};
use crate::domain::failure::Failure;
use crate::domain::limits::EXTRACTED_TEXT_MAX_BYTES;

/// The text of an EPUB.
pub(in crate::domain::document) fn epub_text(bytes: &[u8]) -> Result<String, Failure> {
    let broken = || damaged("the EPUB");
    let mut package = Package::open(bytes)?;
    if package.find("META-INF/rights.xml").is_some() {
        return Err(encrypted());
    }
    let container = package.find("META-INF/container.xml").ok_or_else(broken)?;
    let mut root = None;
    for_each_element(&package.read_text(container)?, |element| {
        if element.local_name().as_ref() == "rootfile" && root.is_none() {
            root = attribute(element, "full-path");
        }
    });
    let root = root.ok_or_else(broken)?;
    let folder = root.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
    let opf = package.find(&root).ok_or_else(broken)?;
    let (mut items, mut spine) = (Vec::new(), Vec::new());
    for_each_element(&package.read_text(opf)?, |element| match element.local_name().as_ref() {
        "item" => items.extend(attribute(element, "id").zip(attribute(element, "href"))),
        "itemref" => spine.extend(attribute(element, "idref")),
        _ => {}
    });
    let mut text = String::new();
    for id in spine {
        let Some((_, href)) = items.iter().find(|(own, _)| *own == id) else { continue };
        let name = percent_encoding::percent_decode_str(href).decode_utf8_lossy().into_owned();
        let Some(part) = package.find(&resolve(&folder, &name)) else { continue };
        text.push_str(html_to_text(&package.read_text(part)?).trim());
        text.push_str("\n\n");
        if text.len() > EXTRACTED_TEXT_MAX_BYTES {
            return Err(expands_too_far("bytes of text", EXTRACTED_TEXT_MAX_BYTES));
        }
    }
    Ok(text)
}
