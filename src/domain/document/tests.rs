use super::*;
use crate::domain::failure::codes;

fn code(name: Option<&str>, bytes: impl Into<Vec<u8>>) -> String {
    Document::new(name, bytes.into()).expect_err("refused").code
}

fn text(bytes: impl Into<Vec<u8>>) -> String {
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
    bytes.resize(size, 0x80);
    bytes
}

/// A ZIP file whose directory has these names.
fn zip(names: &[&str]) -> Vec<u8> {
    let mut bytes = b"PK\x03\x04".to_vec();
    let directory = bytes.len() as u32;
    for name in names {
        let mut entry = vec![0; 46];
        entry[..4].copy_from_slice(b"PK\x01\x02");
        entry[28] = name.len() as u8;
        entry[30] = 3;
        bytes.extend(entry);
        bytes.extend(name.bytes());
        bytes.extend([0; 3]);
    }
    bytes.extend(b"PK\x05\x06");
    bytes.extend([0; 12]);
    bytes.extend(directory.to_le_bytes());
    bytes.extend([0; 2]);
    bytes
}

/// A compound file whose directory has these streams.
fn ole(streams: &[&str]) -> Vec<u8> {
    let mut bytes = sized(&[0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1], 512);
    for name in streams {
        let mut entry: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
        entry.resize(128, 0);
        entry[64] = (name.len() as u8 + 1) * 2;
        entry[66] = 2;
        bytes.extend(entry);
    }
    bytes
}

fn utf_16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(to_bytes).collect()
}

#[test]
fn file_or_image_is_detected_by_bytes_despite_its_name() {
    assert_eq!(file_format(b"%PDF-1.7\n\x80".to_vec()), FileFormat::Pdf);
    assert_eq!(file_format(b"\xef\xbb\xbf%PDF-1.7\n\xff".to_vec()), FileFormat::Pdf);
    assert_eq!(file_format(zip(&["[Content_Types].xml", "word/document.xml"])), FileFormat::Docx);
    assert_eq!(file_format(zip(&["xl/workbook.xml"])), FileFormat::Xlsx);
    assert_eq!(file_format(ole(&["1Table", "WordDocument", "Workbook"])), FileFormat::Doc);
    assert_eq!(file_format(ole(&["Workbook"])), FileFormat::Xls);
    assert_eq!(file_format(ole(&["Book"])), FileFormat::Xls);
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
    assert_eq!(text_format("page.txt", "<html lang=\"en\">"), TextFormat::Html);
    assert_eq!(text_format("page", "<htmlish>"), TextFormat::Txt);
    assert_eq!(text_format("about.txt", "A header such as %PDF-1.7 begins a file"), TextFormat::Txt);
    assert_eq!(text_format("ends.txt", "<html"), TextFormat::Html);
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
fn unsupported_type_error_lists_supported_types() {
    let archive_of_texts = [b"name".as_slice(), &[0; 508], b"words"].concat();
    let half_of_utf_16 = [utf_16("\u{feff}words", u16::to_le_bytes), vec![b'x']].concat();
    let utf_32: Vec<u8> = "\u{feff}words".chars().flat_map(|c| u32::from(c).to_le_bytes()).collect();
    for bytes in [
        b"\x7fELF\x02\x01\x01\x80".to_vec(),
        b"PK\x03\x04 cut".to_vec(),
        zip(&["ppt/presentation.xml"]),
        ole(&["PowerPoint Document"]),
        b"caf\xe9 \x81".to_vec(),
        b"caf\xe9 \x07".to_vec(),
        b"\xef\xbb\xbfcaf\xe9".to_vec(),
        archive_of_texts,
        half_of_utf_16,
        utf_32,
        vec![0],
    ] {
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
    assert_limit(b"%PDF-1.7", DOCUMENT_MAX_BYTES);
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
        assert_eq!(code(None, format!("%PDF-1.7\ntrailer {trailer}")), codes::DOCUMENT_ENCRYPTED, "{trailer}");
    }
    for words in ["(how to /Encrypt a file)", "/EncryptMetadata 12 0 R", "/Encrypt", "/Encrypt 12 0 obj"] {
        assert_eq!(file_format(format!("%PDF-1.7\n{words}").into_bytes()), FileFormat::Pdf, "{words}");
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
