//! Small samples for the readers of documents.

use std::io::{Cursor, Write};

fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, content) in entries {
        writer.start_file(*name, options).expect("an entry");
        writer.write_all(content).expect("its content");
    }
    writer.finish().expect("a ZIP file").into_inner()
}

fn office(main: &str, kind: &str, body: &str) -> Vec<u8> {
    let types = format!("<Types><Override PartName=\"/{main}\" ContentType=\"{kind}\"/></Types>");
    let relationships = format!(
        "<Relationships><Relationship Id=\"r1\" Type=\"x/officeDocument\" Target=\"/{main}\"/></Relationships>"
    );
    zip(&[
        ("[Content_Types].xml", types.as_bytes()),
        ("_rels/.rels", relationships.as_bytes()),
        (main, body.as_bytes()),
    ])
}

/// Samples of every reader. Entries are stored as they are, so that corruptions reach them.
pub fn samples() -> Vec<Vec<u8>> {
    let message = {
        let mut file = cfb::CompoundFile::create(Cursor::new(Vec::new())).expect("a compound file");
        for name in ["/__properties_version1.0", "/__substg1.0_1000001E", "/__substg1.0_10090102"] {
            file.create_stream(name).expect("a stream").write_all(b"words of a mail").expect("its content");
        }
        file.into_inner().into_inner()
    };
    let tiff = {
        let mut bytes = Cursor::new(Vec::new());
        let mut encoder = tiff::encoder::TiffEncoder::new(&mut bytes).expect("a TIFF");
        encoder.write_image::<tiff::encoder::colortype::Gray8>(4, 4, &[7; 16]).expect("a page");
        bytes.into_inner()
    };
    vec![
        office("word/d.xml", "application/vnd.ms-word.document.macroEnabled.main+xml", "<w:p><w:t>words &amp; &#65;</w:t></w:p>"),
        office("xl/w.xml", "application/vnd.ms-excel.sheet.macroEnabled.main+xml", "<workbook><sheets/></workbook>"),
        office("ppt/p.xml", "x/presentationml.presentation.main+xml", "<p:presentation/>"),
        zip(&[("mimetype", b"application/vnd.oasis.opendocument.text"), ("content.xml", b"<text:p>words<text:s text:c=\"3\"/></text:p>")]),
        zip(&[
            ("mimetype", b"application/vnd.oasis.opendocument.spreadsheet"),
            ("content.xml", b"<table:table><table:table-row table:number-rows-repeated=\"3\"><table:table-cell><text:p>w</text:p></table:table-cell></table:table-row></table:table>"),
        ]),
        zip(&[
            ("mimetype", b"application/epub+zip"),
            ("META-INF/container.xml", b"<container><rootfile full-path=\"b.opf\"/></container>"),
            ("b.opf", b"<package><item id=\"a\" href=\"a.html\"/><itemref idref=\"a\"/></package>"),
            ("a.html", b"<p>words</p>"),
        ]),
        zip(&[("a/b.txt", b"words"), ("../c.txt", b"words")]),
        b"{\\rtf1\\ansi\\ansicpg1252{\\fonttbl{\\f0\\fcharset204 A;}}\\f0 Geb\\'fchr \\u8364?{\\pict\\bin4 }{}}}".to_vec(),
        b"From: a@example.org\r\nTo: b@example.org\r\nSubject: =?utf-8?q?s?=\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html; charset=koi8-r\r\n\r\n<p>\xc1</p>\r\n--b\r\nContent-Disposition: attachment; filename=a\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--b--".to_vec(),
        b"<?xml version=\"1.0\" encoding=\"windows-1251\"?><meta charset=koi8-r><p>\xc1</p>data:image/png;base64,AAAA".to_vec(),
        message,
        tiff,
    ]
}
