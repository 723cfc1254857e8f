//! Office files: packages in the ZIP format, and compound files.

use crate::makers::{Ending, Kind, Sample, compound, noise, sample, sentence, text, zip};

const OFFICE: &str = "application/vnd.openxmlformats-officedocument.";

pub const KINDS: &[Kind] = &[
    ("docx", |random| word(random, "word/document.xml", "docx")),
    ("docx of Word Online", |random| word(random, "word/document2.xml", "docx")),
    ("docx with macros", |random| {
        let (_, words) = sentence(random);
        let kind = "application/vnd.ms-word.document.macroEnabled.main+xml";
        let macros = noise(random, 20_000);
        sample(
            "a.docm",
            package("word/document.xml", kind, &word_body(words), &[("word/vbaProject.bin", &macros)]),
            text(&[words]),
        )
    }),
    ("large docx", |random| {
        let (_, words) = sentence(random);
        let kind = format!("{OFFICE}wordprocessingml.document.main+xml");
        let picture = noise(random, 4_600_000);
        sample(
            "a.docx",
            package("word/document.xml", &kind, &word_body(words), &[("word/media/a.jpg", &picture)]),
            text(&[words]),
        )
    }),
    ("xlsx", |random| workbook(random, "/", "xlsx")),
    ("xlsx with backslashes", |random| workbook(random, "\\", "xlsx")),
    ("xlsm", |random| workbook(random, "/", "xlsm")),
    ("pptx", |random| {
        let (_, words) = sentence(random);
        let slide = format!("<p:sld><a:p><a:r><a:t>{words}</a:t></a:r></a:p></p:sld>");
        let types = format!(
            "<Types><Override PartName=\"/ppt/presentation.xml\" ContentType=\"{OFFICE}presentationml.presentation.main+xml\"/>\
             <Override PartName=\"/ppt/slides/slide1.xml\" ContentType=\"{OFFICE}presentationml.slide+xml\"/></Types>"
        );
        let bytes = zip(&[
            ("[Content_Types].xml", types.as_bytes()),
            ("_rels/.rels", relationships("ppt/presentation.xml").as_bytes()),
            ("ppt/presentation.xml", b"<p:presentation/>"),
            ("ppt/slides/slide1.xml", slide.as_bytes()),
            ("ppt/media/a.png", &noise(random, 9_000)),
        ]);
        sample("a.pptx", bytes, text(&["Slide 1", words]))
    }),
    ("odt", |random| open_document(random, "text", "odt")),
    ("odp", |random| open_document(random, "presentation", "odp")),
    ("ods", |random| {
        let (_, words) = sentence(random);
        let rows = format!(
            "<table:table table:name=\"A\"><table:table-row><table:table-cell><text:p>{words}</text:p></table:table-cell>\
             <table:table-cell><text:p>900</text:p></table:table-cell></table:table-row><table:table-row \
             table:number-rows-repeated=\"1048000\"><table:table-cell table:number-columns-repeated=\"16384\"/></table:table-row></table:table>"
        );
        sample("a.ods", open_package("spreadsheet", &rows), text(&[words, "900"]))
    }),
    ("epub", |random| {
        let (_, words) = sentence(random);
        let chapter = format!("<html><head><title>t</title></head><body><p>{words}</p></body></html>");
        let bytes = zip(&[
            ("mimetype", b"application/epub+zip"),
            ("META-INF/container.xml", b"<container><rootfile full-path=\"o/b.opf\"/></container>"),
            ("o/b.opf", b"<package><manifest><item id=\"a\" href=\"a.xhtml\"/></manifest><spine><itemref idref=\"a\"/></spine></package>"),
            ("o/a.xhtml", chapter.as_bytes()),
        ]);
        sample("a.epub", bytes, text(&[words]))
    }),
    ("doc", |_| sample("a.doc", compound(&[("WordDocument", &[0; 600]), ("1Table", &[0; 90])]), file("Doc"))),
    ("doc with a sheet inside", |_| {
        let entries: [(&str, &[u8]); 3] =
            [("ObjectPool/", b""), ("ObjectPool/Workbook", &[0; 90]), ("WordDocument", &[0; 600])];
        sample("a.xls", compound(&entries), file("Doc"))
    }),
    ("xls with a document inside", |_| {
        let entries: [(&str, &[u8]); 3] = [("MBD01/", b""), ("MBD01/WordDocument", &[0; 90]), ("Workbook", &[0; 600])];
        sample("a.xls", compound(&entries), file("Xls"))
    }),
    ("office file with a password", |random| {
        let package = noise(random, 900);
        sample(
            "a.docx",
            compound(&[("EncryptionInfo", &[0; 90]), ("EncryptedPackage", &package)]),
            Ending::Fails("document_encrypted"),
        )
    }),
    ("doc with a password", |_| {
        let mut stream = vec![0; 600];
        stream[11] = 1;
        sample("a.doc", compound(&[("WordDocument", &stream)]), Ending::Fails("document_encrypted"))
    }),
    ("xls with a password", |_| {
        let stream = [&[9, 8, 2, 0, 0, 6][..], &[0x2f, 0, 2, 0, 1, 1], &[0; 90]].concat();
        sample("a.xls", compound(&[("Workbook", &stream)]), Ending::Fails("document_encrypted"))
    }),
    ("ppt", |_| {
        sample("a.ppt", compound(&[("PowerPoint Document", &[0; 90])]), Ending::Fails("document_type_unsupported"))
    }),
    ("deep document", |random| {
        let (_, words) = sentence(random);
        let kind = "application/vnd.ms-word.document.macroEnabled.main+xml";
        let body = format!("{}{}", "<w:p>".repeat(100_000), word_body(words));
        sample("a.docm", package("word/document.xml", kind, &body, &[]), Ending::Fails("document_too_large"))
    }),
    ("cut package", |random| {
        let mut sample = word(random, "word/document.xml", "docx");
        sample.bytes.truncate(sample.bytes.len() - 40);
        Sample { ending: Ending::Fails("document_damaged"), ..sample }
    }),
    ("outlook message", |random| {
        let (_, words) = sentence(random);
        let wide = |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_le_bytes).collect() };
        let (body, subject, name) = (wide(words), wide("The lease"), wide("plan.png.txt"));
        let entries: [(&str, &[u8]); 6] = [
            ("__properties_version1.0", &[0; 32]),
            ("__substg1.0_1000001F", &body),
            ("__substg1.0_0037001F", &subject),
            ("__attach_version1.0_#00000000/", b""),
            ("__attach_version1.0_#00000000/__substg1.0_3707001F", &name),
            ("__attach_version1.0_#00000000/__substg1.0_37010102", b"attached words"),
        ];
        let words = vec![words.to_owned(), "Subject: The lease".to_owned()];
        sample("a.msg", compound(&entries), Ending::Children { words, names: vec!["plan.png.txt".to_owned()] })
    }),
];

fn file(format: &'static str) -> Ending {
    Ending::File { format, words: Vec::new() }
}

fn relationships(main: &str) -> String {
    format!(
        "<Relationships><Relationship Id=\"r1\" Type=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument\" Target=\"/{main}\"/></Relationships>"
    )
}

fn package(main: &str, kind: &str, body: &str, more: &[(&str, &[u8])]) -> Vec<u8> {
    let types = format!(
        "<Types><Default Extension=\"xml\" ContentType=\"application/xml\"/><Override PartName=\"/{main}\" ContentType=\"{kind}\"/></Types>"
    );
    let relationships = relationships(main);
    let mut entries: Vec<(&str, &[u8])> = vec![
        ("[Content_Types].xml", types.as_bytes()),
        ("_rels/.rels", relationships.as_bytes()),
        (main, body.as_bytes()),
    ];
    entries.extend(more);
    zip(&entries)
}

fn word_body(words: &str) -> String {
    format!("<w:document xmlns:w=\"w\"><w:body><w:p><w:r><w:t>{words}</w:t></w:r></w:p></w:body></w:document>")
}

fn word(random: &mut fastrand::Rng, main: &str, extension: &str) -> Sample {
    let (_, words) = sentence(random);
    let kind = format!("{OFFICE}wordprocessingml.document.main+xml");
    let ending = Ending::File { format: "Docx", words: vec![words.to_owned()] };
    sample(&format!("a.{extension}"), package(main, &kind, &word_body(words), &[]), ending)
}

fn workbook(random: &mut fastrand::Rng, separator: &str, extension: &str) -> Sample {
    let (_, words) = sentence(random);
    let namespace = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
    let office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    let kind = match extension {
        "xlsm" => "application/vnd.ms-excel.sheet.macroEnabled.main+xml".to_owned(),
        _ => format!("{OFFICE}spreadsheetml.sheet.main+xml"),
    };
    let types = format!("<Types><Override PartName=\"/xl/workbook.xml\" ContentType=\"{kind}\"/></Types>");
    let book = format!(
        "<workbook xmlns=\"{namespace}\" xmlns:r=\"{office}\"><sheets><sheet name=\"S\" sheetId=\"1\" r:id=\"r1\"/></sheets></workbook>"
    );
    let rels = format!(
        "<Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\"><Relationship Id=\"r1\" Type=\"{office}/worksheet\" Target=\"worksheets/sheet1.xml\"/></Relationships>"
    );
    let sheet = format!(
        "<worksheet xmlns=\"{namespace}\"><sheetData><row r=\"1\"><c r=\"A1\" t=\"inlineStr\"><is><t>{words}</t></is></c><c r=\"C1\"><v>900</v></c></row></sheetData></worksheet>"
    );
    let name = |name: &str| name.replace('/', separator);
    let names = [
        "[Content_Types].xml",
        "_rels/.rels",
        "xl/workbook.xml",
        "xl/_rels/workbook.xml.rels",
        "xl/worksheets/sheet1.xml",
    ]
    .map(name);
    let contents = [types, relationships("xl/workbook.xml"), book, rels, sheet];
    let entries: Vec<(&str, &[u8])> =
        names.iter().map(String::as_str).zip(contents.iter().map(String::as_bytes)).collect();
    let words = words.to_owned();
    let ending = match extension {
        "xlsm" => text(&[&words, "900"]),
        _ if separator == "\\" => Ending::File { format: "Xlsx", words: Vec::new() },
        _ => Ending::File { format: "Xlsx", words: vec![words, "900".to_owned()] },
    };
    sample(&format!("a.{extension}"), zip(&entries), ending)
}

fn open_package(kind: &str, body: &str) -> Vec<u8> {
    let mimetype = format!("application/vnd.oasis.opendocument.{kind}");
    let content = format!("<office:document-content><office:body>{body}</office:body></office:document-content>");
    zip(&[("mimetype", mimetype.as_bytes()), ("content.xml", content.as_bytes()), ("Pictures/a.png", b"\x89PNG")])
}

fn open_document(random: &mut fastrand::Rng, kind: &str, extension: &str) -> Sample {
    let (_, words) = sentence(random);
    let body = format!(
        "<text:p>{words}</text:p><office:binary-data>{}</office:binary-data>",
        crate::makers::base64(&noise(random, 9_000))
    );
    sample(&format!("a.{extension}"), open_package(kind, &body), text(&[words]))
}
