//! Texts: their encodings, their markup, and encoded data in them.

use crate::makers::{Ending, Kind, Sample, base64, encode, noise, sample, sentence, text, text_in, wrapped};

pub const KINDS: &[Kind] = &[
    ("utf-8", |random| {
        let (_, words) = sentence(random);
        sample("a.txt", words, text_in(&[words], "UTF-8", false))
    }),
    ("utf-8 with mark", |random| {
        let (_, words) = sentence(random);
        sample("a.txt", format!("\u{feff}{words}"), text_in(&[words], "UTF-8", false))
    }),
    ("utf-16 little-endian", |random| utf_16(random, true, u16::to_le_bytes, "UTF-16LE")),
    ("utf-16 big-endian", |random| utf_16(random, true, u16::to_be_bytes, "UTF-16BE")),
    ("utf-16 without mark", |random| utf_16(random, false, u16::to_le_bytes, "UTF-16LE")),
    ("utf-32", |random| {
        let (_, words) = sentence(random);
        let bytes: Vec<u8> = format!("\u{feff}{words}").chars().flat_map(|c| u32::from(c).to_le_bytes()).collect();
        sample("a.txt", bytes, text_in(&[words], "UTF-32", false))
    }),
    ("guessed encoding", |random| {
        let (label, words) = sentence(random);
        let repeated = format!("{words} ").repeat(4);
        let ending = Ending::Text { words: vec![words.to_owned()], encoding: None, replaced: 0 };
        sample("a.txt", encode(label, &repeated), ending)
    }),
    ("one bad byte", |random| {
        let words = "Zwölf Gebühren für die Wohnung. ".repeat(30);
        let mut bytes = words.clone().into_bytes();
        // After a complete word, so that no character is cut.
        bytes.insert(words.len() / 30 * random.usize(1..29), random.u8(0xf8..));
        let ending =
            Ending::Text { words: vec!["Zwölf Gebühren".to_owned()], encoding: Some(("UTF-8", false)), replaced: 1 };
        sample("a.txt", bytes, ending)
    }),
    ("control characters", |random| {
        let (_, words) = sentence(random);
        let words = words.replace(' ', "\x07 ");
        let padded = format!("{}\x1a{words}\x0c", "of a lease and its terms ".repeat(12));
        sample("a.txt", padded, text(&[&words]))
    }),
    ("html in utf-8", |random| {
        let (_, words) = sentence(random);
        sample("a.html", format!("<!doctype html><p>{words}</p>"), text(&[words]))
    }),
    ("html with its encoding", |random| {
        let (label, words) = sentence(random);
        let page =
            format!("<html><head><title>x</title><meta charset=\"{label}\"></head><body><p>{words}</p></body></html>");
        sample("a.html", encode(label, &page), text(&[words, "charset=\"utf-8\""]))
    }),
    ("html with http-equiv", |random| {
        let (label, words) = sentence(random);
        let meta = format!("<meta http-equiv=Content-Type content='text/html; charset={label}'>");
        sample(
            "page",
            encode(label, &format!("<HTML>{meta}<BODY>{words}</BODY></HTML>")),
            text(&[words, "charset=utf-8"]),
        )
    }),
    ("xml with its encoding", |random| {
        let (label, words) = sentence(random);
        let xml = format!("<?xml version=\"1.0\" encoding=\"{label}\"?>\n<lease><term>{words}</term></lease>");
        sample("a.xml", encode(label, &xml), text(&[words, "encoding=\"utf-8\""]))
    }),
    ("html with pictures", |random| {
        let (_, words) = sentence(random);
        let data = random_base64(random, 90_000);
        let page = format!(
            "<html><img src=\"data:image/png;base64,{data}\"><p>{words}</p><style>a{{b:url(data:font/woff;base64,{data})}}</style></html>"
        );
        sample("a.htm", page, text(&[words]))
    }),
    ("markdown with pictures", |random| {
        let (_, words) = sentence(random);
        let data = random_base64(random, 40_000);
        sample("a.md", format!("# Lease\n\n![plan](data:image/jpeg;base64,{data})\n\n{words}\n"), text(&[words]))
    }),
    ("csv with encoded cells", |random| {
        let (_, words) = sentence(random);
        let data = random_base64(random, 9_000);
        sample("a.csv", format!("name,scan\n\"{words}\",{data}\nlast,\"{data}\"\n"), text(&[words, "last"]))
    }),
    ("json with encoded fields", |random| {
        let (_, words) = sentence(random);
        let data = random_base64(random, 9_000);
        let lines = wrapped(&data, 76, "\\r\\n");
        let json = format!("{{\"terms\": \"{words}\", \"scan\": \"{data}\", \"mime\": \"{lines}\", \"end\": 1}}");
        sample("a.json", json, text(&[words, "\"end\""]))
    }),
    ("text with an encoded file", |random| {
        let (_, words) = sentence(random);
        let data = wrapped(&random_base64(random, 30_000), 64, "\r\n");
        sample(
            "a.txt",
            format!("{words}\r\n-----BEGIN CERTIFICATE-----\r\n{data}-----END CERTIFICATE-----\r\nend"),
            text(&[words, "end"]),
        )
    }),
    ("rtf in its code page", |random| {
        let (label, words) = sentence(random);
        let (page, label) = match label {
            "Shift_JIS" => ("932".to_owned(), label),
            "GBK" => ("936".to_owned(), label),
            windows => (windows.replace("windows-", ""), label),
        };
        let escaped: String = encode(label, words)
            .iter()
            .map(|byte| match byte {
                b' ' => " ".to_owned(),
                byte if byte.is_ascii_alphanumeric() => char::from(*byte).to_string(),
                byte => format!("\\'{byte:02x}"),
            })
            .collect();
        sample(
            "a.rtf",
            format!("{{\\rtf1\\ansi\\ansicpg{page}\\deff0{{\\fonttbl{{\\f0 Arial;}}}}\\f0 {escaped}\\par}}"),
            text(&[words]),
        )
    }),
    ("rtf with a picture", |random| {
        let (_, words) = sentence(random);
        let mut units = String::new();
        words.encode_utf16().for_each(|unit| units.push_str(&format!("\\u{}?", unit as i16)));
        let hex: String = noise(random, 40_000).iter().map(|byte| format!("{byte:02x}")).collect();
        sample(
            "lease.doc",
            format!("{{\\rtf1\\ansi {units}\\par {{\\pict\\pngblip\n{}}}}}", wrapped(&hex, 128, "\n")),
            text(&[words]),
        )
    }),
    ("invisible text", |random| {
        let invisible = ["\u{200b}", "\u{200d}", "\u{feff}", "\u{2060}", " ", "\n", "\u{a0}", "\u{ad}"];
        let bytes: String = (0..random.usize(1..40)).map(|_| invisible[random.usize(..invisible.len())]).collect();
        sample("a.txt", bytes, Ending::Fails("document_empty"))
    }),
    ("litter", |random| {
        let names = [".DS_Store", "._lease.pdf", "Thumbs.db", "desktop.ini", "~$lease.docx", "x/Desktop.INI"];
        sample(names[random.usize(..names.len())], noise(random, 162), Ending::Fails("document_litter"))
    }),
    ("noise", |random| {
        let mut bytes = vec![0x01];
        bytes.extend(noise(random, 5_000));
        sample("a.txt", bytes, Ending::Fails("document_type_unknown"))
    }),
];

fn random_base64(random: &mut fastrand::Rng, bytes: usize) -> String {
    base64(&noise(random, bytes))
}

fn utf_16(random: &mut fastrand::Rng, has_mark: bool, to_bytes: fn(u16) -> [u8; 2], encoding: &'static str) -> Sample {
    let (_, words) = sentence(random);
    let mark = if has_mark { "\u{feff}" } else { "" };
    let lines = format!("{mark}{words}\r\n900 EUR\r\n{words}\r\n");
    let bytes: Vec<u8> = lines.encode_utf16().flat_map(to_bytes).collect();
    sample("a.txt", bytes, text_in(&[words, "900 EUR"], encoding, false))
}
