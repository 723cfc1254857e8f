use std::io::{Cursor, Write};

use ::zip::ZipWriter;
use ::zip::write::SimpleFileOptions;

use super::*;
use crate::domain::failure::codes;
use crate::domain::limits::{DOCUMENT_MAX_BYTES, IMAGE_MAX_BYTES};

pub(super) fn code(name: Option<&str>, bytes: impl Into<Vec<u8>>) -> String {
    Document::new(name, bytes.into()).expect_err("refused").code
}

pub(super) fn text(bytes: impl Into<Vec<u8>>) -> String {
    match Document::new(None, bytes.into()).expect("a document").into_content() {
        Content::Text { text, .. } => text,
        Content::File { format, .. } => panic!("{format:?}"),
        Content::Image { format, .. } => panic!("{format:?}"),
    }
}

fn text_format(name: &str, text: &str) -> TextFormat {
    match Document::new(Some(name), text.into()).expect("a document").content() {
        Content::Text { format, .. } => *format,
        _ => panic!("{name} is text"),
    }
}

fn file_format(bytes: Vec<u8>) -> FileFormat {
    match Document::new(Some("misleading.txt"), bytes).expect("a document").content() {
        Content::File { format, .. } => *format,
        _ => panic!("a file"),
    }
}

fn sized(beginning: &[u8], size: usize) -> Vec<u8> {
    let mut bytes = beginning.to_vec();
    bytes.resize(size, 0);
    bytes
}

/// A ZIP file of these entries.
pub(super) fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in entries {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

const OFFICE: &str = "application/vnd.openxmlformats-officedocument.";

/// A package of Office Open XML with this main part and its content type, and further parts.
pub(super) fn office(main: &str, kind: &str, body: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let overrides: String = more
        .iter()
        .filter(|(name, _)| name.ends_with(".xml"))
        .map(|(name, _)| {
            let kind = if name.contains("notesSlide") { "notesSlide" } else { "slide" };
            format!(r#"<Override PartName="/{name}" ContentType="{OFFICE}presentationml.{kind}+xml"/>"#)
        })
        .collect();
    let kind = if kind.contains('/') { kind.to_owned() } else { format!("{OFFICE}{kind}+xml") };
    let types = format!(
        r#"<Types><Default Extension="rels" ContentType="x"/><Default Extension="xml" ContentType="application/xml"/>
        <Override PartName="/{main}" ContentType="{kind}"/>{overrides}</Types>"#
    );
    let relationships = format!(
        r#"<Relationships><Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="/{main}"/></Relationships>"#
    );
    let mut entries = vec![
        ("[Content_Types].xml", types.as_bytes()),
        ("_rels/.rels", relationships.as_bytes()),
        (main, body.as_bytes()),
    ];
    entries.extend(more.iter().map(|(name, content)| (*name, content.as_bytes())));
    zip(&entries)
}

fn docx(main: &str, words: &str) -> Vec<u8> {
    let body =
        format!("<w:document xmlns:w=\"w\"><w:body><w:p><w:r><w:t>{words}</w:t></w:r></w:p></w:body></w:document>");
    office(main, "wordprocessingml.document.main", &body, &[])
}

/// A compound file with these storages (ending in `/`) and streams.
pub(super) fn ole(entries: &[&str]) -> Vec<u8> {
    let mut file = cfb::CompoundFile::create(Cursor::new(Vec::new())).unwrap();
    for entry in entries {
        match entry.strip_suffix('/') {
            Some(storage) => file.create_storage(format!("/{storage}")).unwrap(),
            None => file.create_stream(format!("/{entry}")).unwrap().write_all(&[0; 64]).unwrap(),
        }
    }
    file.into_inner().into_inner()
}

fn utf_16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(to_bytes).collect()
}

#[test]
fn file_or_image_is_detected_by_bytes_despite_its_name() {
    assert_eq!(file_format(docx("word/document.xml", "A lease")), FileFormat::Docx);
    assert_eq!(file_format(docx("word/document2.xml", "A lease")), FileFormat::Docx);
    assert_eq!(file_format(office("xl/book.xml", "spreadsheetml.sheet.main", "<workbook/>", &[])), FileFormat::Xlsx);
    assert_eq!(file_format(ole(&["1Table", "WordDocument"])), FileFormat::Doc);
    assert_eq!(file_format(ole(&["Workbook"])), FileFormat::Xls);
    assert_eq!(file_format(ole(&["Book"])), FileFormat::Xls);
    assert_eq!(file_format(ole(&["MBD01/", "MBD01/WordDocument", "Workbook"])), FileFormat::Xls);
    assert_eq!(file_format(ole(&["ObjectPool/", "ObjectPool/Workbook", "WordDocument"])), FileFormat::Doc);
    for (bytes, format) in [
        (&b"\x89PNG\r\n\x1a\n..."[..], ImageFormat::Png),
        (b"\xff\xd8\xff\xe0", ImageFormat::Jpeg),
        (b"GIF87a", ImageFormat::Gif),
        (b"GIF89a", ImageFormat::Gif),
        (b"RIFF\x10\x00\x00\x00WEBPVP8 ", ImageFormat::Webp),
    ] {
        let document = Document::new(Some("misleading.pdf"), bytes.to_vec()).unwrap();
        assert!(matches!(document.content(), Content::Image { format: found, .. } if *found == format));
    }
}

#[test]
fn text_format_follows_from_extension_or_html_tag() {
    assert_eq!(text_format("x/y.MD", "words"), TextFormat::Md);
    assert_eq!(text_format("t.csv", "a,b"), TextFormat::Csv);
    assert_eq!(text_format("t.htm", "words"), TextFormat::Html);
    assert_eq!(text_format("x.y/z", "words"), TextFormat::Txt);
    assert_eq!(text_format("report.pdf", "words"), TextFormat::Txt);
    assert_eq!(text_format("page", " <!DOCTYPE html><p>words"), TextFormat::Html);
    assert_eq!(text_format("page.txt", "<html lang=\"en\">words"), TextFormat::Html);
    assert_eq!(text_format("page", "<htmlish>"), TextFormat::Txt);
    assert_eq!(text_format("about.txt", "A header such as %PDF-1.7 begins a file"), TextFormat::Txt);
    assert_eq!(text_format("ends.txt", "<html\n>words"), TextFormat::Html);
    assert_eq!(text_format("é.txt", "<htmé"), TextFormat::Txt);
}

#[test]
fn text_in_every_common_encoding_is_decoded() {
    let words = "Zwölf Gebühren: 900 € — “paid”.\r\n\tMiete\x0c";
    assert_eq!(text(words), words);
    assert_eq!(text(format!("\u{feff}{words}")), words);
    for marked in [format!("\u{feff}{words}"), words.to_owned()] {
        assert_eq!(text(utf_16(&marked, u16::to_le_bytes)), words);
        assert_eq!(text(utf_16(&marked, u16::to_be_bytes)), words);
    }
    assert_eq!(text(utf_16("\u{feff}租金", u16::to_be_bytes)), "租金");
    assert_eq!(text(b"Geb\xfchr 900 \x80 \x96 \x93paid\x94".to_vec()), "Gebühr 900 € – “paid”");
    let stray = format!("{}\0", "word ".repeat(20));
    assert_eq!(text(stray.as_str()), stray);
}

#[test]
fn unknown_type_error_lists_supported_types() {
    let archive_of_texts = [b"name".as_slice(), &[0; 508], b"words"].concat();
    for bytes in [b"\x00\x01\x02\x80".to_vec(), ole(&["Other"]), archive_of_texts, vec![0]] {
        let failure = Document::new(Some("named.docx"), bytes).expect_err("refused");
        assert_eq!(failure.code, codes::DOCUMENT_TYPE_UNKNOWN);
        assert!(failure.message.contains("docx") && failure.message.contains("webp"), "{}", failure.message);
    }
}

#[test]
fn document_over_request_limit_is_rejected() {
    let assert_limit = |beginning: &[u8], limit: usize| {
        assert!(Document::new(None, sized(beginning, limit)).is_ok());
        let failure = Document::new(None, sized(beginning, limit + 1)).expect_err("one byte over");
        assert_eq!(failure.code, codes::DOCUMENT_TOO_LARGE);
        assert!(failure.message.contains(&limit.to_string()), "{}", failure.message);
    };
    assert_limit(b"%PDF-1.7 1 0 obj /Page", DOCUMENT_MAX_BYTES);
    assert_limit(b"\x89PNG\r\n\x1a\n", IMAGE_MAX_BYTES);
    assert!(Document::new(None, vec![b'a'; DOCUMENT_MAX_BYTES + 1]).is_ok(), "a text may be split into chunks");
    assert!(text_too_large(41, 1).message.contains("at most 32 bytes"));
}

#[test]
fn empty_document_is_rejected_before_paid_call() {
    for bytes in [&b""[..], b" \n\t", b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff\x00 "] {
        assert_eq!(code(Some("a.pdf"), bytes), codes::DOCUMENT_EMPTY, "{bytes:?}");
    }
}

#[test]
fn encrypted_document_is_rejected_before_paid_call() {
    assert_eq!(code(None, ole(&["EncryptionInfo", "EncryptedPackage"])), codes::DOCUMENT_ENCRYPTED);
    for trailer in ["<< /Encrypt 12 0 R >>", "<</Root 1 0 R/Encrypt\n12\r\n0 R>>", "<</Encrypt<</Filter/Standard>>>>"] {
        assert_eq!(
            code(None, format!("%PDF-1.7\n1 0 obj /Page\ntrailer {trailer}")),
            codes::DOCUMENT_ENCRYPTED,
            "{trailer}"
        );
    }
    for words in ["(how to /Encrypt a file)", "/EncryptMetadata 12 0 R", "/Encrypt", "/Encrypt 12 0 obj"] {
        assert_eq!(file_format(format!("%PDF-1.7\n1 0 obj /Page {words}").into_bytes()), FileFormat::Pdf, "{words}");
    }
}

#[test]
fn document_size_counts_bytes_as_received() {
    let bytes = utf_16("\u{feff}rent", u16::to_le_bytes);
    assert_eq!(Document::new(None, bytes.clone()).unwrap().size_bytes(), bytes.len());
}

#[test]
fn debug_output_omits_document_text() {
    let document = Document::new(None, b"SECRET".to_vec()).unwrap();
    assert_eq!(format!("{document:?}"), "Document(Txt, 6 bytes)");
}
