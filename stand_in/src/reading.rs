//! Reads content blocks: the text of a document, the format and size of an
//! image. Blocks that Bedrock would refuse are refused.
//!
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Message.html>

use std::io::{Cursor, Read};

use base64::Engine;
use imagesize::ImageType;
use serde_json::Value;

const DOCUMENTS_MAX: usize = 5;
const DOCUMENT_MAX_BYTES: usize = 4_500_000;
const IMAGES_MAX: usize = 20;
const IMAGE_MAX_BYTES: usize = 3_750_000;
const IMAGE_MAX_PIXELS: usize = 8_000;
/// Limit of one decompressed file of an archive.
const UNPACKED_MAX_BYTES: u64 = 64 * 1024 * 1024;

/// Reads the document and image blocks of a message.
///
/// # Errors
/// The limit of Converse that the message breaks.
pub fn read_message(message: &Value) -> Result<String, &'static str> {
    let blocks = message.get("content").and_then(Value::as_array).ok_or("the message has no content")?;
    let blocks_of = |kind: &str| blocks.iter().filter_map(|block| block.get(kind)).collect::<Vec<_>>();
    let (documents, images) = (blocks_of("document"), blocks_of("image"));
    if !documents.is_empty() && blocks_of("text").is_empty() {
        return Err("a message with a document must have a text block");
    }
    if documents.len() > DOCUMENTS_MAX || images.len() > IMAGES_MAX {
        return Err("a message may have at most 5 documents and 20 images");
    }
    let mut texts = Vec::new();
    for block in documents {
        texts.push(read_document(block)?);
    }
    for block in images {
        texts.push(describe_image(block)?);
    }
    Ok(texts.join("\n\n"))
}

fn format_and_bytes(block: &Value, max_bytes: usize) -> Result<(&str, Vec<u8>), &'static str> {
    let format = block.get("format").and_then(Value::as_str).ok_or("the block has no format")?;
    let encoded = block.pointer("/source/bytes").and_then(Value::as_str).ok_or("the block has no bytes")?;
    let bytes =
        base64::engine::general_purpose::STANDARD.decode(encoded).map_err(|_| "the block's bytes must be base64")?;
    match bytes.len() {
        0 => Err("the block is empty"),
        size if size > max_bytes => Err("the block is too large"),
        _ => Ok((format, bytes)),
    }
}

fn read_document(block: &Value) -> Result<String, &'static str> {
    let name = block.get("name").and_then(Value::as_str).unwrap_or_default();
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || " -()[]".contains(c)) {
        return Err("the document's name must consist of letters, digits, spaces, hyphens, parentheses and brackets");
    }
    let (format, bytes) = format_and_bytes(block, DOCUMENT_MAX_BYTES)?;
    let text = |bytes| String::from_utf8(bytes).map_err(|_| "the document must be UTF-8");
    match format {
        "txt" => text(bytes).map(join_json_strings),
        "md" | "csv" => text(bytes),
        "html" => text(bytes).map(|html| strip_tags(&html, &["</p>", "</h1>", "</h2>", "</li>", "</tr>", "<br>"])),
        "pdf" => pdf_text(&bytes).ok_or("the document is not a readable PDF"),
        "docx" => unzip(&bytes, "word/document.xml")
            .map(|xml| strip_tags(&xml, &["</w:p>"]))
            .ok_or("the document is not a readable DOCX"),
        "xlsx" => unzip(&bytes, "xl/workbook.xml")
            .map(|_| unzip(&bytes, "xl/sharedStrings.xml").unwrap_or_default())
            .map(|xml| strip_tags(&xml, &["</si>"]))
            .ok_or("the document is not a readable XLSX"),
        "doc" | "xls" if bytes.starts_with(&[0xd0, 0xcf, 0x11, 0xe0]) => {
            Ok(format!("A {} file of {} bytes, which the stand-in cannot open.", format.to_uppercase(), bytes.len()))
        }
        "doc" | "xls" => Err("the document's bytes do not match its format"),
        _ => Err("the document's format must be one of those of Converse"),
    }
}

/// Joins the strings of a JSON array, such as the results of a long document's
/// chunks. Other text is returned unchanged.
fn join_json_strings(text: String) -> String {
    fn collect(value: &Value, texts: &mut Vec<String>) {
        match value {
            Value::String(text) => texts.push(text.clone()),
            Value::Array(items) => items.iter().for_each(|item| collect(item, texts)),
            Value::Object(fields) => fields.values().for_each(|field| collect(field, texts)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    let Ok(json @ Value::Array(_)) = serde_json::from_str(&text) else { return text };
    let mut texts = Vec::new();
    collect(&json, &mut texts);
    texts.join("\n\n")
}

fn pdf_text(bytes: &[u8]) -> Option<String> {
    let document = lopdf::Document::load_mem(bytes).ok().filter(|document| !document.is_encrypted())?;
    let pages: Vec<u32> = document.get_pages().into_keys().collect();
    document.extract_text(&pages).ok()
}

fn unzip(bytes: &[u8], name: &str) -> Option<String> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).ok()?;
    let mut text = String::new();
    archive.by_name(name).ok()?.take(UNPACKED_MAX_BYTES).read_to_string(&mut text).ok()?;
    Some(text)
}

/// Removes the tags of a markup. Each tag of `paragraph_ends` becomes a blank line.
fn strip_tags(markup: &str, paragraph_ends: &[&str]) -> String {
    let mut text = String::with_capacity(markup.len());
    let mut hidden = None;
    for piece in markup.split('<').skip(1) {
        let (tag, after) = piece.split_once('>').unwrap_or((piece, ""));
        let name = tag.split([' ', '\n']).next().unwrap_or_default().to_ascii_lowercase();
        match hidden {
            None if ["script", "style"].contains(&name.as_str()) => hidden = Some(format!("/{name}")),
            Some(end) if end == name => hidden = None,
            _ => {}
        }
        if paragraph_ends.contains(&format!("<{}>", name.trim_end_matches('/')).as_str()) {
            text += "\n\n";
        }
        if hidden.is_none() {
            text += after;
        }
    }
    for (entity, character) in [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&nbsp;", " "), ("&amp;", "&")] {
        text = text.replace(entity, character);
    }
    text
}

fn describe_image(block: &Value) -> Result<String, &'static str> {
    let (format, bytes) = format_and_bytes(block, IMAGE_MAX_BYTES)?;
    let found = match imagesize::image_type(&bytes) {
        Ok(ImageType::Png) => "png",
        Ok(ImageType::Jpeg) => "jpeg",
        Ok(ImageType::Gif) => "gif",
        Ok(ImageType::Webp) => "webp",
        _ => return Err("the image must be PNG, JPEG, GIF or WebP"),
    };
    if found != format {
        return Err("the image's bytes do not match its format");
    }
    let size = imagesize::blob_size(&bytes).map_err(|_| "the image cannot be read")?;
    if size.width > IMAGE_MAX_PIXELS || size.height > IMAGE_MAX_PIXELS {
        return Err("the image may have at most 8000 x 8000 pixels");
    }
    let format = format.to_uppercase();
    Ok(format!("A {format} picture, {} × {} pixels, which the stand-in cannot open.", size.width, size.height))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read_one(kind: &str, format: &str, bytes: &[u8]) -> Result<String, &'static str> {
        let bytes = base64::engine::general_purpose::STANDARD.encode(bytes);
        let block = json!({"name": "document", "format": format, "source": {"bytes": bytes}});
        read_message(&json!({"content": [{kind: block}, {"text": "look"}]}))
    }

    #[test]
    fn block_is_read_by_its_format_or_refused() {
        assert_eq!(read_one("document", "txt", b"words").unwrap(), "words");
        let results = br#"[{"summary": "One.", "n": 1}, {"points": ["Two."]}]"#;
        assert_eq!(read_one("document", "txt", results).unwrap(), "One.\n\nTwo.");
        let html = b"<html><style>p {}</style><p>One &amp; two.</p><p>Three</p></html>";
        assert_eq!(read_one("document", "html", html).unwrap().split_whitespace().count(), 4);
        for (kind, format) in [
            ("document", "pdf"),
            ("document", "docx"),
            ("document", "xls"),
            ("document", "png"),
            ("image", "png"),
            ("image", "txt"),
        ] {
            read_one(kind, format, b"words").expect_err(format);
        }
        read_one("document", "txt", b"").expect_err("empty");
    }

    #[test]
    fn document_without_text_block_is_refused() {
        let block = json!({"name": "document", "format": "txt", "source": {"bytes": "d29yZHM="}});
        assert!(read_message(&json!({"content": [{"document": block}]})).is_err());
    }
}
