//! Tests of the readers through the door of the module.

use super::reading::read;
use super::tests::{code, office, ole, text, zip};
use super::*;
use crate::domain::failure::codes;

#[test]
fn type_that_nothing_reads_fails_with_a_remedy() {
    let heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic\x80".to_vec();
    for (bytes, remedy) in [
        (heic, "JPEG"),
        (b"7z\xbc\xaf\x27\x1c\0\x04".to_vec(), "zip"),
        (b"Rar!\x1a\x07\x01\0".to_vec(), "zip"),
        (ole(&["PowerPoint Document"]), "pptx"),
        (b"\0\0\0\x0cjP  \r\n\x87\n".to_vec(), "JPEG"),
        (zip(&[("Index/Document.iwa", b"x")]), "PDF"),
        (b"\x7fELF\x02\x01\x01\0\x80".to_vec(), "documents"),
    ] {
        let failure = Document::new(None, bytes).expect_err("refused");
        assert_eq!(failure.code, codes::DOCUMENT_TYPE_UNSUPPORTED, "{failure:?}");
        assert!(failure.message.contains(remedy), "{failure:?}");
    }
    for bytes in [
        b"PK\x03\x04 cut".to_vec(),
        b"%PDF-1.7\n".to_vec(),
        [0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1].to_vec(),
        b"II*\0\x08\0\0\0".to_vec(),
        b"{\\rtf1{\\fonttbl".to_vec(),
    ] {
        assert_eq!(code(None, bytes), codes::DOCUMENT_DAMAGED);
    }
}

#[test]
fn litter_and_invisible_texts_are_never_paid_for() {
    for name in ["x/.DS_Store", "._lease.pdf", "Thumbs.db", "desktop.ini", "~$lease.docx"] {
        assert_eq!(code(Some(name), b"words".to_vec()), codes::DOCUMENT_LITTER);
    }
    assert_eq!(code(None, b"\0\0\0\x01Bud1 words".to_vec()), codes::DOCUMENT_LITTER);
    assert_eq!(code(None, "\u{200b}\u{200d}\u{feff}\u{2060}"), codes::DOCUMENT_EMPTY);
    assert_eq!(code(Some("a.html"), "<html><body>&nbsp;</body></html>"), codes::DOCUMENT_EMPTY);
}

#[test]
fn text_of_office_files_is_extracted() {
    let body = r#"<w:document xmlns:w="w"><w:body><w:p><w:r><w:t>Rent &amp; </w:t><w:t>deposit</w:t></w:r></w:p>
        <w:tbl><w:tr><w:tc><w:p><w:r><w:t>a</w:t></w:r></w:p></w:tc><w:tc><w:p><w:r><w:t>b</w:t></w:r></w:p></w:tc></w:tr></w:tbl>
        <w:p><w:del><w:r><w:delText>old</w:delText></w:r></w:del><w:r><w:t>900</w:t></w:r></w:p></w:body></w:document>"#;
    let macros = office("word/document.xml", "application/vnd.ms-word.document.macroEnabled.main+xml", body, &[]);
    assert_eq!(text(macros), "Rent & deposit\na\tb\n900\n");
    let slide = |words: &str| format!("<p:sld><a:p><a:r><a:t>{words}</a:t></a:r></a:p></p:sld>");
    let rels = r#"<Relationships><Relationship Id="rA" Target="slides/slide1.xml"/><Relationship Id="rB" Target="slides/slide2.xml"/></Relationships>"#;
    let notes = r#"<Relationships><Relationship Id="n" Target="../notesSlides/notesSlide1.xml"/></Relationships>"#;
    let pptx = office(
        "ppt/presentation.xml",
        "presentationml.presentation.main",
        r#"<p:presentation><p:sldIdLst><p:sldId id="256" r:id="rB"/><p:sldId id="257" r:id="rA"/></p:sldIdLst></p:presentation>"#,
        &[
            ("ppt/slides/slide1.xml", &slide("first file")),
            ("ppt/slides/slide2.xml", &slide("second file")),
            ("ppt/notesSlides/notesSlide1.xml", &slide("a note")),
            ("ppt/_rels/presentation.xml.rels", rels),
            ("ppt/slides/_rels/slide1.xml.rels", notes),
        ],
    );
    assert_eq!(text(pptx), "Slide 1\nsecond file\n\nSlide 2\nfirst file\nNotes:\na note\n");
}

#[test]
fn text_of_open_documents_and_books_is_extracted() {
    let mime = |kind: &str| format!("application/vnd.oasis.opendocument.{kind}").into_bytes();
    let odt = br#"<office:document-content><office:automatic-styles><x>style</x></office:automatic-styles><office:body><office:text>
        <text:h>Lease</text:h><text:p>Rent<text:s text:c="2"/>900<text:line-break/>due<text:tab/>monthly</text:p></office:text></office:body></office:document-content>"#;
    assert_eq!(text(zip(&[("mimetype", &mime("text")), ("content.xml", odt)])), "Lease\nRent  900\ndue\tmonthly\n");
    let ods = br#"<office:document-content><office:body><office:spreadsheet><table:table table:name="A"><table:table-row>
        <table:table-cell><text:p>unit</text:p></table:table-cell><table:table-cell table:number-columns-repeated="2"><text:p>a, b</text:p></table:table-cell></table:table-row>
        <table:table-row table:number-rows-repeated="1048574"><table:table-cell table:number-columns-repeated="16384"/></table:table-row></table:table></office:spreadsheet></office:body></office:document-content>"#;
    assert_eq!(text(zip(&[("mimetype", &mime("spreadsheet")), ("content.xml", ods)])), "unit,\"a, b\",\"a, b\"\n");
    let locked = br#"<manifest:manifest><manifest:file-entry><manifest:encryption-data/></manifest:file-entry></manifest:manifest>"#;
    let encrypted =
        zip(&[("mimetype", &mime("text")), ("META-INF/manifest.xml", locked), ("content.xml", b"\x80\x81")]);
    assert_eq!(code(None, encrypted), codes::DOCUMENT_ENCRYPTED);
    let epub = zip(&[
        ("mimetype", b"application/epub+zip"),
        ("META-INF/container.xml", br#"<container><rootfiles><rootfile full-path="OEBPS/book.opf"/></rootfiles></container>"#),
        ("OEBPS/book.opf", br#"<package><manifest><item id="b" href="two.xhtml"/><item id="a" href="text/one%20a.xhtml"/></manifest><spine><itemref idref="a"/><itemref idref="b"/></spine></package>"#),
        ("OEBPS/two.xhtml", b"<html><body><p>The second</p></body></html>"),
        ("OEBPS/text/one a.xhtml", b"<html><head><style>p{}</style></head><body><p>The first</p></body></html>"),
    ]);
    let words = text(epub);
    assert!(words.find("The first").unwrap() < words.find("The second").unwrap() && !words.contains("p{}"), "{words}");
}

#[test]
fn what_is_sent_agrees_with_its_declaration() {
    let german = "Zwölf Gebühren für die Wohnung";
    let page = format!("<html><head><meta charset=\"iso-8859-1\"></head><body><p>{german}</p></body></html>");
    let bytes = encoding_rs::WINDOWS_1252.encode(&page).0.into_owned();
    let found = read(Some("a.html"), bytes).unwrap();
    assert_eq!(found.facts.encoding.as_deref(), Some("windows-1252"));
    assert!(!found.facts.encoding_guessed);
    let Content::Text { format, text: sent } = found.parts[0].content() else { panic!("text") };
    assert_eq!((*format, sent.as_str()), (TextFormat::Html, page.replace("iso-8859-1", "utf-8").as_str()));
    let russian = "<html><head><meta charset=windows-1251></head><body>Договор аренды</body></html>";
    assert!(text(encoding_rs::WINDOWS_1251.encode(russian).0.into_owned()).contains("Договор аренды"));
}

#[test]
fn archive_is_a_folder_of_documents() {
    let inner = zip(&[("x.txt", b"inner words")]);
    let archive = zip(&[
        ("a/lease.txt", b"A lease"),
        ("../../escape.txt", b"words"),
        ("__MACOSX/._lease.txt", b"x"),
        ("a/.DS_Store", b"x"),
        ("a/inner.zip", &inner),
    ]);
    let found = read(Some("folder.zip"), archive.clone()).unwrap();
    assert!(found.parts.is_empty());
    let names: Vec<String> = (0..found.children.len()).map(|n| found.children.read(n).unwrap().unwrap().0).collect();
    assert_eq!(names, ["a/lease.txt", "escape.txt", "a/inner.zip"]);
    assert_eq!(found.children.read(0).unwrap().unwrap().1, b"A lease");
    assert_eq!(found.children.read(3).unwrap(), None);
    assert_eq!(code(None, archive), codes::DOCUMENT_TYPE_UNSUPPORTED, "a ZIP file is no document itself");
    let bomb = zip(&[("zeros.txt", &vec![0; 20_000_000])]);
    assert_eq!(read(None, bomb).unwrap_err().code, codes::DOCUMENT_TOO_LARGE);
    let many: Vec<(String, &[u8])> = (0..1_001).map(|n| (format!("{n}.txt"), &b"x"[..])).collect();
    let many: Vec<(&str, &[u8])> = many.iter().map(|(name, content)| (name.as_str(), *content)).collect();
    assert_eq!(read(None, zip(&many)).unwrap_err().code, codes::DOCUMENT_TOO_LARGE);
}
