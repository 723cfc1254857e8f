//! The shared part of the makers of files: words in many languages, and encoded data.

use std::io::{Cursor, Write};
use std::ops::RangeInclusive;

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// A file and its ending.
pub struct Sample {
    pub name: String,
    pub bytes: Vec<u8>,
    pub ending: Ending,
}

/// The ending that a file must have.
pub enum Ending {
    /// A text with these words, in this encoding (and whether it is guessed).
    Text { words: Vec<String>, encoding: Option<(&'static str, bool)>, replaced: usize },
    /// A file that is sent as it is; its readable text has these words.
    File { format: &'static str, words: Vec<String> },
    /// Several parts.
    Parts { format: &'static str, count: RangeInclusive<usize>, pages: u32 },
    /// Documents inside, and a text with these words if it is sent itself.
    Children { words: Vec<String>, names: Vec<String> },
    /// A failure without a call.
    Fails(&'static str),
}

/// A maker of files of a kind, by its name.
pub type Kind = (&'static str, fn(&mut fastrand::Rng) -> Sample);

pub fn sample(name: &str, bytes: impl Into<Vec<u8>>, ending: Ending) -> Sample {
    Sample { name: name.to_owned(), bytes: bytes.into(), ending }
}

pub fn text(words: &[&str]) -> Ending {
    Ending::Text { words: words.iter().map(|word| (*word).to_owned()).collect(), encoding: None, replaced: 0 }
}

pub fn text_in(words: &[&str], encoding: &'static str, is_guess: bool) -> Ending {
    let words = words.iter().map(|word| (*word).to_owned()).collect();
    Ending::Text { words, encoding: Some((encoding, is_guess)), replaced: 0 }
}

/// Sentences with a legacy encoding that can write them.
const SENTENCES: [(&str, &str); 7] = [
    ("windows-1252", "Zwölf Gebühren für die Wohnung in der Mühlstraße; der Mieter trägt Müllgebühren."),
    ("windows-1252", "Le preneur paie un loyer de 900 € le premier de chaque mois, charges comprises à Orléans."),
    ("windows-1251", "Договор аренды квартиры. Арендатор платит девятьсот рублей в месяц до пятого числа."),
    ("windows-1250", "Umowa najmu mieszkania: czynsz płatny z góry, zażółć gęślą jaźń i świadectwo źródła."),
    ("Shift_JIS", "賃貸借契約書。賃料は毎月一日に支払うものとする。敷金は二か月分とし、礼金はない。"),
    ("GBK", "房屋租赁合同。承租人每月一日支付租金九百元，押金为两个月的租金，水电费自理。"),
    ("windows-1253", "Σύμβαση μίσθωσης κατοικίας. Ο μισθωτής καταβάλλει το μίσθωμα την πρώτη κάθε μήνα."),
];

/// A sentence, and a legacy encoding that can write it.
pub fn sentence(random: &mut fastrand::Rng) -> (&'static str, &'static str) {
    SENTENCES[random.usize(..SENTENCES.len())]
}

pub fn encode(label: &str, text: &str) -> Vec<u8> {
    let encoding = encoding_rs::Encoding::for_label(label.as_bytes()).expect("an encoding");
    let (bytes, _, had_errors) = encoding.encode(text);
    assert!(!had_errors, "{label} cannot write {text}");
    bytes.into_owned()
}

pub fn noise(random: &mut fastrand::Rng, bytes: usize) -> Vec<u8> {
    (0..bytes).map(|_| random.u8(..)).collect()
}

pub fn base64(bytes: &[u8]) -> String {
    const CHARS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut encoded = String::new();
    for group in bytes.chunks(3) {
        let number =
            group.iter().fold(0_usize, |number, byte| number << 8 | usize::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..4 {
            let c = if place > group.len() { b'=' } else { CHARS[number >> (18 - 6 * place) & 63] };
            encoded.push(char::from(c));
        }
    }
    encoded
}

pub fn wrapped(text: &str, width: usize, line_end: &str) -> String {
    text.as_bytes().chunks(width).map(|line| String::from_utf8_lossy(line).into_owned() + line_end).collect()
}

pub fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in entries {
        writer.start_file(*name, SimpleFileOptions::default()).expect("an entry");
        writer.write_all(content).expect("its content");
    }
    writer.finish().expect("a ZIP file").into_inner()
}

/// A compound file of these streams; a name that ends in `/` is a storage.
pub fn compound(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut file = cfb::CompoundFile::create(Cursor::new(Vec::new())).expect("a compound file");
    for (name, content) in entries {
        match name.strip_suffix('/') {
            Some(storage) => file.create_storage(format!("/{storage}")).expect("a storage"),
            None => file.create_stream(format!("/{name}")).expect("a stream").write_all(content).expect("its content"),
        }
    }
    file.into_inner().into_inner()
}
