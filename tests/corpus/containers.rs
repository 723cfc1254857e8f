//! PDFs, images, mails, archives, and files that nothing reads.

use lopdf::encryption::{EncryptionState, EncryptionVersion, Permissions};
use lopdf::{Dictionary, Document, Object, Stream};

use crate::makers::{Ending, Kind, base64, encode, noise, sample, sentence, wrapped, zip};

pub const KINDS: &[Kind] = &[
    ("pdf", |random| {
        let pages = random.usize(1..9);
        sample("a.pdf", save(pdf(pages, 0, "")), Ending::Parts { format: "Pdf", count: 1..=1, pages: pages as u32 })
    }),
    ("pdf after other bytes", |random| {
        let junk = ["\n", "\r\n\r\n", "HTTP/1.1 200 OK\r\nServer: x\r\n\r\n", "\u{feff}"][random.usize(..4)];
        let bytes = [junk.as_bytes(), &save(pdf(1, 0, ""))].concat();
        sample("a.pdf", bytes, Ending::Parts { format: "Pdf", count: 1..=1, pages: 1 })
    }),
    ("pdf with a broken table", |random| {
        let mut bytes = save(pdf(1, 0, ""));
        let end = bytes.windows(9).rposition(|window| window == b"startxref").expect("an end");
        bytes.truncate(end);
        bytes.extend(format!("startxref\n{}\n%%EOF", random.u32(9_000..99_999)).bytes());
        sample("a.pdf", bytes, Ending::File { format: "Pdf", words: vec!["words of page 0".to_owned()] })
    }),
    ("large pdf", |_| {
        sample("a.pdf", save(pdf(6, 1_500_000, "DCTDecode")), Ending::Parts { format: "Pdf", count: 2..=6, pages: 6 })
    }),
    ("pdf of many pages", |random| {
        let pages = random.usize(101..160);
        sample("a.pdf", save(pdf(pages, 0, "")), Ending::Parts { format: "Pdf", count: 2..=2, pages: pages as u32 })
    }),
    ("pdf with jpeg 2000 alone", |random| {
        let filter = ["JPXDecode", "JBIG2Decode"][random.usize(..2)];
        sample("a.pdf", save(pdf(1, 900, filter)), Ending::Fails("document_type_unsupported"))
    }),
    ("pdf with the owner's password", |_| {
        sample("a.pdf", encrypted(""), Ending::File { format: "Pdf", words: vec!["words of page 0".to_owned()] })
    }),
    ("pdf with a password", |_| sample("a.pdf", encrypted("user"), Ending::Fails("document_encrypted"))),
    ("pdf without objects", |_| sample("a.pdf", b"%PDF-1.7\n%\xe2\xe3\n".to_vec(), Ending::Fails("document_damaged"))),
    ("png", |random| {
        let bytes = [b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x01\0\0\0\x01\0", &noise(random, 900)[..]].concat();
        sample("a.pdf", bytes, Ending::File { format: "Png", words: Vec::new() })
    }),
    ("absurd png", |random| {
        let bytes = [b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\x7f\0\0\0\x7f\0\0\0", &noise(random, 900)[..]].concat();
        sample("a.png", bytes, Ending::Fails("document_too_large"))
    }),
    ("tiff", |random| {
        let pages = random.usize(1..5);
        let mut bytes = std::io::Cursor::new(Vec::new());
        let mut encoder = tiff::encoder::TiffEncoder::new(&mut bytes).expect("a TIFF");
        for _ in 0..pages {
            let pixels = noise(random, 40 * 30 * 3);
            encoder.write_image::<tiff::encoder::colortype::RGB8>(40, 30, &pixels).expect("a page");
        }
        sample(
            "scan.tif",
            bytes.into_inner(),
            Ending::Parts { format: "Png", count: pages..=pages, pages: pages as u32 },
        )
    }),
    ("cut tiff", |_| sample("a.tif", b"II*\0\x08\0\0\0\xff\xff".to_vec(), Ending::Fails("document_damaged"))),
    ("mail", |random| {
        let (label, words) = sentence(random);
        let head = format!(
            "From: Ada <ada@example.org>\r\nTo: b@example.org\r\nSubject: lease\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset={label}\r\n\r\n"
        );
        let bytes = [head.as_bytes(), &encode(label, words)].concat();
        sample("a.eml", bytes, crate::makers::text(&[words, "Subject: lease", "ada@example.org"]))
    }),
    ("mail with attachments", |random| {
        let (_, words) = sentence(random);
        let data = wrapped(&base64(&noise(random, 200_000)), 76, "\r\n");
        let mail = format!(
            "From: Ada <ada@example.org>\r\nTo: b@example.org\r\nSubject: lease\r\nMIME-Version: 1.0\r\n\
             Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{words}\r\n\
             --b\r\nContent-Type: application/pdf; name=\"../lease.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\
             Content-Disposition: attachment; filename=\"../lease.pdf\"\r\n\r\n{data}\
             --b\r\nContent-Type: application/octet-stream; name=Thumbs.db\r\nContent-Transfer-Encoding: base64\r\n\
             Content-Disposition: attachment; filename=Thumbs.db\r\n\r\nAAAA\r\n--b--\r\n"
        );
        sample("a.eml", mail, Ending::Children { words: vec![words.to_owned()], names: vec!["lease.pdf".to_owned()] })
    }),
    ("mail in html alone", |random| {
        let (_, words) = sentence(random);
        let data = base64(&noise(random, 60_000));
        let mail = format!(
            "Received: x\r\nFrom: a@example.org\r\nSubject: s\r\nMIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\r\n\
             <html><style>p{{}}</style><p>{words}</p><img src=\"data:image/png;base64,{data}\"></html>"
        );
        sample("a.eml", mail, crate::makers::text(&[words]))
    }),
    ("zip", |random| {
        let (_, words) = sentence(random);
        let inner = zip(&[("b.txt", words.as_bytes())]);
        let entries: [(&str, &[u8]); 5] = [
            ("leases/a.txt", words.as_bytes()),
            ("../../b.pdf", b"%PDF-1.7"),
            ("__MACOSX/._a.txt", b"x"),
            ("leases/.DS_Store", b"x"),
            ("inner.zip", &inner),
        ];
        let names = ["leases/a.txt", "b.pdf", "inner.zip"].map(str::to_owned).to_vec();
        sample("folder.zip", zip(&entries), Ending::Children { words: Vec::new(), names })
    }),
    ("zip bomb", |random| {
        let zeros = vec![b'0'; random.usize(20_000_000..30_000_000)];
        sample("a.zip", zip(&[("a.txt", &zeros)]), Ending::Fails("document_too_large"))
    }),
    ("cut zip", |random| {
        let mut bytes = zip(&[("a.txt", &noise(random, 4_000))]);
        bytes.truncate(random.usize(100..3_900));
        sample("a.zip", bytes, Ending::Fails("document_damaged"))
    }),
    ("zip with a password", |random| {
        let mut bytes = zip(&[("a.txt", &noise(random, 400))]);
        // The flag of encryption, in the entry and in the directory.
        let directory = bytes.windows(4).position(|window| window == b"PK\x01\x02").expect("a directory");
        bytes[6] |= 1;
        bytes[directory + 8] |= 1;
        sample("a.zip", bytes, Ending::Fails("document_encrypted"))
    }),
    ("file that nothing reads", |random| {
        let begins: [&[u8]; 6] = [
            b"\0\0\0\x18ftypheic\0\0",
            b"7z\xbc\xaf\x27\x1c\0\x04",
            b"Rar!\x1a\x07\0",
            b"\x1f\x8b\x08\0",
            b"\0\0\0\x0cjP  ",
            b"\0\0\0\x18ftypmp42",
        ];
        let bytes = [begins[random.usize(..begins.len())], &noise(random, 900)].concat();
        sample("a.bin", bytes, Ending::Fails("document_type_unsupported"))
    }),
];

/// A PDF of pages; with a picture of this size on each instead of words, if there is a filter.
fn pdf(pages: usize, picture: usize, filter: &str) -> Document {
    let mut document = Document::with_version("1.5");
    let root = document.new_object_id();
    let mut kids = Vec::new();
    for number in 0..pages {
        let mut resources = Dictionary::new();
        if filter.is_empty() {
            let mut font = Dictionary::new();
            for (name, value) in
                [("Type", "Font"), ("Subtype", "Type1"), ("BaseFont", "Helvetica"), ("Encoding", "WinAnsiEncoding")]
            {
                font.set(name, Object::Name(value.as_bytes().to_vec()));
            }
            let font = document.add_object(font);
            let mut fonts = Dictionary::new();
            fonts.set("F1", Object::Reference(font));
            resources.set("Font", Object::Dictionary(fonts));
        } else {
            let mut dictionary = Dictionary::new();
            dictionary.set("Subtype", Object::Name(b"Image".to_vec()));
            dictionary.set("Filter", Object::Name(filter.as_bytes().to_vec()));
            let bytes = noise(&mut fastrand::Rng::with_seed(number as u64), picture);
            let stream = document.add_object(Stream::new(dictionary, bytes));
            let mut pictures = Dictionary::new();
            pictures.set("Im1", Object::Reference(stream));
            resources.set("XObject", Object::Dictionary(pictures));
        }
        let content = format!("BT /F1 12 Tf 40 700 Td (words of page {number}, and /Encrypt 12 0 R) Tj ET /Im1 Do");
        let content = document.add_object(Stream::new(Dictionary::new(), content.into_bytes()));
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
    document.save_to(&mut bytes).expect("a file");
    bytes
}

fn encrypted(user_password: &str) -> Vec<u8> {
    let mut document = pdf(1, 0, "");
    let id = Object::string_literal("0123456789abcdef");
    document.trailer.set("ID", Object::Array(vec![id.clone(), id]));
    let version = EncryptionVersion::V2 {
        document: &document,
        owner_password: "owner",
        user_password,
        key_length: 128,
        permissions: Permissions::all(),
    };
    let state = EncryptionState::try_from(version).expect("a key");
    document.encrypt(&state).expect("encrypted");
    save(document)
}
