use super::*;
use crate::domain::document::readable::readable_text;
use crate::domain::document::reading::{read, read_pages};

fn read_pdf_file(bytes: Vec<u8>) -> Result<Pdf, Failure> {
    read_pdf(bytes, None)
}

/// A PDF of pages with a text and, if asked for, a picture of this size.
fn pdf(pages: &[(&str, usize)], filter: &str) -> Document {
    let mut document = Document::with_version("1.5");
    let root = document.new_object_id();
    let mut kids = Vec::new();
    for (number, (words, picture)) in pages.iter().enumerate() {
        let mut resources = Dictionary::new();
        if !words.is_empty() {
            let mut font = Dictionary::new();
            font.set("Type", Object::Name(b"Font".to_vec()));
            font.set("Subtype", Object::Name(b"Type1".to_vec()));
            font.set("BaseFont", Object::Name(b"Helvetica".to_vec()));
            font.set("Encoding", Object::Name(b"WinAnsiEncoding".to_vec()));
            let font = document.add_object(font);
            let mut fonts = Dictionary::new();
            fonts.set("F1", Object::Reference(font));
            resources.set("Font", Object::Dictionary(fonts));
        }
        if *picture > 0 {
            let mut dictionary = Dictionary::new();
            dictionary.set("Subtype", Object::Name(b"Image".to_vec()));
            dictionary.set("Filter", Object::Name(filter.as_bytes().to_vec()));
            let mut random = fastrand::Rng::with_seed(number as u64);
            let bytes = (0..*picture).map(|_| random.u8(..)).collect();
            let stream = document.add_object(lopdf::Stream::new(dictionary, bytes));
            let mut pictures = Dictionary::new();
            pictures.set("Im1", Object::Reference(stream));
            resources.set("XObject", Object::Dictionary(pictures));
        }
        let content = format!("BT /F1 12 Tf 40 700 Td ({words}) Tj ET /Im1 Do");
        let content = document.add_object(lopdf::Stream::new(Dictionary::new(), content.into_bytes()));
        let mut page = Dictionary::new();
        page.set("Type", Object::Name(b"Page".to_vec()));
        page.set("Parent", Object::Reference(root));
        page.set("Contents", Object::Reference(content));
        page.set("Resources", Object::Dictionary(resources));
        kids.push(Object::Reference(document.add_object(page)));
    }
    let mut tree = Dictionary::new();
    tree.set("Type", Object::Name(b"Pages".to_vec()));
    tree.set("Count", Object::Integer(kids.len() as i64));
    tree.set("Kids", Object::Array(kids));
    tree.set("MediaBox", Object::Array([0, 0, 595, 842].map(Object::Integer).to_vec()));
    document.objects.insert(root, Object::Dictionary(tree));
    let mut catalog = Dictionary::new();
    catalog.set("Type", Object::Name(b"Catalog".to_vec()));
    catalog.set("Pages", Object::Reference(root));
    let catalog = document.add_object(catalog);
    document.trailer.set("Root", Object::Reference(catalog));
    document
}

fn save(mut document: Document) -> Vec<u8> {
    let mut bytes = Vec::new();
    document.save_to(&mut bytes).unwrap();
    bytes
}

#[test]
fn large_pdf_is_cut_at_pages() {
    let words: Vec<String> = (0..12).map(|n| format!("words of page {n}")).collect();
    let pages: Vec<(&str, usize)> = words.iter().map(|words| (words.as_str(), 1_000_000)).collect();
    let bytes = save(pdf(&pages, "DCTDecode"));
    assert!(bytes.len() > 12_000_000);
    let found = read(Some("scan.pdf"), bytes).unwrap();
    assert_eq!(found.facts.pages, Some(12));
    assert!((3..=6).contains(&found.parts.len()), "{}", found.parts.len());
    let readable = readable_text(&found.parts).unwrap();
    assert_eq!(readable.page_starts.len(), 12);
    for (number, words) in words.iter().enumerate() {
        assert!(readable.text[readable.page_starts[number]..].trim_start().starts_with(words), "{words}");
    }
}

#[test]
fn pdf_of_many_pages_is_cut() {
    let pages = vec![("a page", 0); PDF_PAGES_PER_CALL + 1];
    let found = read_pdf_file(save(pdf(&pages, ""))).unwrap();
    assert_eq!((found.pieces.len(), found.pages), (2, Some(101)));
    let counts: Vec<usize> =
        found.pieces.iter().map(|piece| Document::load_mem(piece).unwrap().get_pages().len()).collect();
    assert_eq!(counts, [51, 50]);
    let large = save(pdf(&[("one page", DOCUMENT_MAX_BYTES)], "DCTDecode"));
    assert_eq!(read_pdf_file(large).unwrap_err().code, codes::DOCUMENT_TOO_LARGE);
}

#[test]
fn page_range_selects_pages() {
    let words: Vec<String> = (1..=9).map(|n| format!("words of page {n}.")).collect();
    let bytes = save(pdf(&words.iter().map(|words| (words.as_str(), 0)).collect::<Vec<_>>(), ""));
    let found = read_pages(None, bytes.clone(), Some([3, 5])).unwrap();
    assert_eq!((found.parts.len(), found.facts.pages), (1, Some(9)));
    let text = readable_text(&found.parts).unwrap().text;
    for (number, words) in words.iter().enumerate() {
        assert_eq!(text.contains(words), (2..5).contains(&number), "{words}");
    }
    let clipped = read_pages(None, bytes.clone(), Some([9, 20])).unwrap();
    assert!(readable_text(&clipped.parts).unwrap().text.contains("words of page 9."));
    assert_eq!(read_pages(None, bytes, Some([10, 20])).unwrap_err().code, codes::DOCUMENT_EMPTY);
}

#[test]
fn pdf_with_unread_pictures_alone_fails_unpaid() {
    for filter in ["JPXDecode", "JBIG2Decode"] {
        let failure = read_pdf_file(save(pdf(&[("", 500), ("", 500)], filter))).unwrap_err();
        assert_eq!(failure.code, codes::DOCUMENT_TYPE_UNSUPPORTED);
        assert!(read_pdf_file(save(pdf(&[("words", 500)], filter))).is_ok(), "it has words");
    }
    assert!(read_pdf_file(save(pdf(&[("", 500)], "DCTDecode"))).is_ok());
}

#[test]
fn junk_before_the_header_is_left_out() {
    let plain = save(pdf(&[("The trailer then holds /Encrypt 12 0 R as shown", 0)], ""));
    for junk in [&b"\n"[..], b"\xef\xbb\xbf", b"HTTP/1.1 200 OK\r\nContent-Type: application/pdf\r\n\r\n"] {
        let found = read(None, [junk, &plain].concat()).unwrap();
        let crate::domain::document::Content::File { bytes, .. } = found.parts[0].content() else { panic!("a file") };
        assert!(bytes.starts_with(b"%PDF-") && found.facts.pages == Some(1));
    }
    let plain = save(pdf(&[("words", 0)], ""));
    let damaged = [&plain[..plain.len() - 60], b"\nstartxref\n99999999\n%%EOF"].concat();
    assert!(read(None, damaged).is_ok(), "a damaged table of references is rebuilt");
}

#[test]
fn password_of_the_owner_alone_is_no_hindrance() {
    let encrypted = |user: &str| {
        let mut document = pdf(&[("secret words", 0)], "");
        let id = Object::string_literal("0123456789abcdef");
        document.trailer.set("ID", Object::Array(vec![id.clone(), id]));
        let version = lopdf::encryption::EncryptionVersion::V2 {
            document: &document,
            owner_password: "owner",
            user_password: user,
            key_length: 128,
            permissions: lopdf::encryption::Permissions::all(),
        };
        let state = lopdf::encryption::EncryptionState::try_from(version).unwrap();
        document.encrypt(&state).unwrap();
        save(document)
    };
    let found = read(None, encrypted("")).unwrap();
    assert!(readable_text(&found.parts).unwrap().text.contains("secret words"));
    let crate::domain::document::Content::File { bytes, .. } = found.parts[0].content() else { panic!("a file") };
    assert!(!has(bytes, b"/Encrypt"), "it is sent without the encryption");
    assert_eq!(read(None, encrypted("user")).unwrap_err().code, codes::DOCUMENT_ENCRYPTED);
}
