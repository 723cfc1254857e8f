//! Files that are made to exhaust time, memory or the stack.

use crate::makers::{Ending, Kind, sample, text, zip};

pub const KINDS: &[Kind] = &[
    ("deep mail", |random| {
        let depth = random.usize(500..3_000);
        let mut mail = "From: a@example.org\r\nTo: b@example.org\r\nMIME-Version: 1.0\r\n".to_owned();
        for level in 0..depth {
            mail.push_str(&format!("Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n"));
        }
        mail.push_str("Content-Type: text/plain\r\n\r\nThe words\r\n");
        sample("a.eml", mail, text(&["a@example.org"]))
    }),
    ("deep pdf", |random| {
        let depth = random.usize(10_000..100_000);
        let content =
            format!("%PDF-1.4\n1 0 obj\n{}{}\nendobj\nstartxref\n0\n%%EOF", "[".repeat(depth), "]".repeat(depth));
        sample("a.pdf", content, Ending::Fails("document_damaged"))
    }),
    ("pdf whose pages are their own parents", |random| {
        let kids = "2 0 R ".repeat(random.usize(1..40));
        let objects = [
            "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
            format!("<< /Type /Pages /Parent 2 0 R /Count 9 /Kids [{kids}] >>"),
        ];
        let mut bytes = "%PDF-1.4\n".to_owned();
        for (number, object) in (1..).zip(&objects) {
            bytes.push_str(&format!("{number} 0 obj\n{object}\nendobj\n"));
        }
        bytes.push_str("trailer\n<< /Root 1 0 R /Size 3 >>\nstartxref\n9\n%%EOF");
        // Nothing can be counted or cut: it is sent as it is.
        sample("a.pdf", bytes, Ending::File { format: "Pdf", words: Vec::new() })
    }),
    ("deep rtf", |random| {
        sample("a.rtf", "{\\rtf1".repeat(random.usize(600..90_000)), Ending::Fails("document_too_large"))
    }),
    ("sheet of one repeated cell", |random| {
        let words = "x".repeat(random.usize(10_000..400_000));
        let content = format!(
            "<table:table><table:table-row table:number-rows-repeated=\"1000\"><table:table-cell \
             table:number-columns-repeated=\"16384\"><text:p>{words}</text:p></table:table-cell></table:table-row></table:table>"
        );
        let mimetype = b"application/vnd.oasis.opendocument.spreadsheet";
        sample(
            "a.ods",
            zip(&[("mimetype", mimetype), ("content.xml", content.as_bytes())]),
            Ending::Fails("document_too_large"),
        )
    }),
    ("workbook of one shared string", |random| {
        let words = "x".repeat(random.usize(50_000..200_000));
        let cells: String = (0..16_000).map(|_| "<c t=\"s\"><v>0</v></c>").collect();
        let namespace = "xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\"";
        let relations = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
        let part = |kind: &str, target: &str, id: &str| {
            format!("<Relationship Id=\"{id}\" Type=\"{relations}/{kind}\" Target=\"{target}\"/>")
        };
        let wrap = |inner: String| {
            format!(
                "<Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\">{inner}</Relationships>"
            )
        };
        let contents = [
            ("[Content_Types].xml", "<Types><Override PartName=\"/xl/workbook.xml\" ContentType=\"application/vnd.ms-excel.sheet.macroEnabled.main+xml\"/></Types>".to_owned()),
            ("_rels/.rels", wrap(part("officeDocument", "/xl/workbook.xml", "r1"))),
            ("xl/workbook.xml", format!("<workbook {namespace} xmlns:r=\"{relations}\"><sheets><sheet name=\"S\" sheetId=\"1\" r:id=\"r1\"/></sheets></workbook>")),
            ("xl/_rels/workbook.xml.rels", wrap(part("worksheet", "worksheets/sheet1.xml", "r1") + &part("sharedStrings", "sharedStrings.xml", "r2"))),
            ("xl/sharedStrings.xml", format!("<sst {namespace} count=\"16000\" uniqueCount=\"1\"><si><t>{words}</t></si></sst>")),
            ("xl/worksheets/sheet1.xml", format!("<worksheet {namespace}><dimension ref=\"A1:XFD1048576\"/><sheetData><row r=\"1\">{cells}</row></sheetData></worksheet>")),
        ];
        let entries: Vec<(&str, &[u8])> = contents.iter().map(|(name, content)| (*name, content.as_bytes())).collect();
        sample("a.xlsm", zip(&entries), Ending::Fails("document_too_large"))
    }),
    ("workbook of absurd counts", |random| {
        let count = random.u64(1_000_000..u64::MAX);
        let namespace = "xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\"";
        let types = b"<Types><Override PartName=\"/xl/workbook.xml\" ContentType=\"application/vnd.ms-excel.sheet.macroEnabled.main+xml\"/></Types>";
        let relations = b"<Relationships><Relationship Id=\"r1\" Type=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument\" Target=\"/xl/workbook.xml\"/></Relationships>";
        let strings = format!("<sst {namespace} uniqueCount='{count}'><si><t>x</t></si></sst>");
        let entries: [(&str, &[u8]); 4] = [
            ("[Content_Types].xml", types),
            ("_rels/.rels", relations),
            ("xl/workbook.xml", b"<workbook/>"),
            ("xl/sharedStrings.xml", strings.as_bytes()),
        ];
        sample("a.xlsm", zip(&entries), Ending::Fails("document_damaged"))
    }),
    ("expanding package", |random| {
        let spaces = format!("<w:p>{}</w:p>", " ".repeat(random.usize(65_000_000..70_000_000)));
        let types = b"<Types><Override PartName=\"/w.xml\" ContentType=\"application/vnd.ms-word.document.macroEnabled.main+xml\"/></Types>";
        let relations =
            b"<Relationships><Relationship Id=\"r1\" Type=\"x/officeDocument\" Target=\"/w.xml\"/></Relationships>";
        let bytes = zip(&[("[Content_Types].xml", types), ("_rels/.rels", relations), ("w.xml", spaces.as_bytes())]);
        sample("a.docm", bytes, Ending::Fails("document_too_large"))
    }),
];
